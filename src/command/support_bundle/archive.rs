//! Writes the files of a bundle, as an archive or a directory that only the user can read.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tar::{Builder, EntryType, Header};

use super::File;
use crate::command::Error;
use certwright_core::naming::digest;

/// The longest name of a file. Those of objects may have 253 characters, to which an ending is added; file systems take 255.
const LONGEST_NAME: usize = 200;
/// How much is kept of the end of a name that is longer.
const LONGEST_END: usize = 24;

/// Where a bundle is written.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    /// The directory that an archive unpacks to.
    name: String,
    is_directory: bool,
}

impl Archive {
    /// An archive at this path, or at one with the time in the current directory.
    ///
    /// # Errors
    /// [`Error::Usage`], if there is something at the path.
    pub(super) fn new(path: Option<PathBuf>, now: Timestamp) -> Result<Self, Error> {
        let name = format!("certwright-support-{}", now.strftime("%Y%m%dT%H%M%SZ"));
        let path = path.unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
        if path.symlink_metadata().is_ok() {
            return Err(Error::Usage(format!("{} exists: choose another --output", path.display())));
        }
        let text = path.to_string_lossy();
        let is_directory = ![".tar.gz", ".tgz"].iter().any(|end| text.ends_with(end));
        Ok(Self { path, name, is_directory })
    }

    /// Writes the files.
    ///
    /// # Errors
    /// [`Error::Output`]
    pub(super) fn write(self, files: Vec<File>, now: Timestamp) -> Result<PathBuf, Error> {
        let written = match self.is_directory {
            true => self.write_directory(&files),
            false => self.write_archive(&files, now),
        };
        written.map_err(Error::Output)?;
        Ok(self.path)
    }

    fn write_directory(&self, files: &[File]) -> io::Result<()> {
        let mut directories = DirBuilder::new();
        directories.recursive(true).mode(0o700);
        directories.create(self.path.parent().unwrap_or(Path::new("")))?;
        // Nobody may have made it in the meantime, and be its owner.
        DirBuilder::new().mode(0o700).create(&self.path)?;
        for file in files {
            let path = self.path.join(harmless(&file.path));
            directories.create(path.parent().unwrap_or(&self.path))?;
            new_file(&path)?.write_all(file.text.as_bytes())?;
        }
        Ok(())
    }

    fn write_archive(&self, files: &[File], now: Timestamp) -> io::Result<()> {
        let mut archive = Builder::new(GzEncoder::new(new_file(&self.path)?, Compression::default()));
        for file in files {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_size(file.text.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(now.as_second().try_into().unwrap_or_default());
            let path = Path::new(&self.name).join(harmless(&file.path));
            archive.append_data(&mut header, path, file.text.as_bytes())?;
        }
        archive.into_inner()?.finish()?.sync_all()
    }
}

fn new_file(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// A relative path without what could lead out of the directory, and with names that a file system takes, whatever the names of
/// objects are.
fn harmless(path: &str) -> PathBuf {
    let parts = path.split('/').filter(|part| !part.is_empty() && !part.chars().all(|c| c == '.'));
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    parts.map(|part| short(part.chars().map(safe).collect())).collect()
}

/// A name that is not too long, and still another one than those that begin and end alike.
fn short(name: String) -> String {
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let end = name.len() - LONGEST_END;
    let (head, tail) = (name.get(..LONGEST_NAME - LONGEST_END - 10), name.get(end..));
    format!("{}-{}-{}", head.unwrap_or_default(), digest(&name), tail.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn an_archive_has_the_files_in_one_directory_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.tar.gz");
        let archive = Archive::new(Some(path.clone()), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(archive.write(files(), Timestamp::UNIX_EPOCH).unwrap(), path);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let mut unpacked = tar::Archive::new(GzDecoder::new(std::fs::File::open(&path).unwrap()));
        let entries = unpacked.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.path().unwrap().display().to_string(), text)
        });
        let root = "certwright-support-19700101T000000Z";
        assert_eq!(
            entries.collect::<Vec<_>>(),
            [
                (format!("{root}/README.txt"), "read me".to_owned()),
                (format!("{root}/issuers/a/b.yaml"), "b".to_owned()),
            ]
        );
    }

    #[test]
    fn a_directory_has_the_same_files_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle");
        let archive = || Archive::new(Some(path.clone()), Timestamp::UNIX_EPOCH);
        archive().unwrap().write(files(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(std::fs::read_to_string(path.join("issuers/a/b.yaml")).unwrap(), "b");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(archive().unwrap_err().to_string().contains("exists: choose another --output"));
    }

    #[test]
    fn no_name_leads_out_of_the_bundle() {
        for (path, expected) in [
            ("issuers/a/b.yaml", "issuers/a/b.yaml"),
            ("/etc/passwd", "etc/passwd"),
            ("../../a/./..b", "a/..b"),
            ("a\\b/c\u{1b}:d", "a_b/c__d"),
        ] {
            assert_eq!(harmless(path), PathBuf::from(expected), "{path}");
        }
    }

    #[test]
    fn objects_with_the_longest_names_are_written_each_to_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/bundle");
        let name = |end: &str| format!("certificates/shop/{}{end}.yaml", "a".repeat(252));
        let files = ["b", "c"].map(|end| File::new(name(end), end.to_owned()));
        let archive = Archive::new(Some(path.clone()), Timestamp::UNIX_EPOCH).unwrap();
        archive.write(files.into(), Timestamp::UNIX_EPOCH).unwrap();
        let written = std::fs::read_dir(path.join("certificates/shop")).unwrap();
        let names: Vec<_> = written.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(names.len(), 2);
        assert!(names.iter().all(|name| name.len() <= LONGEST_NAME && name.ends_with(".yaml")), "{names:?}");
    }

    fn files() -> Vec<File> {
        vec![File::new("README.txt", "read me".to_owned()), File::new("issuers/a/b.yaml", "b".to_owned())]
    }
}
