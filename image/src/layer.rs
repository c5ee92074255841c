//! The one layer of an image.

use std::io::Write;

use anyhow::Result;
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

/// A file of an image; it belongs to root, and everybody may read it.
pub struct File {
    /// Where it is, without a leading slash.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
    /// Whether it is a program.
    pub executable: bool,
}

impl File {
    /// A file that is no program.
    pub fn data(path: &str, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), content: content.into(), executable: false }
    }

    /// A program.
    pub fn program(path: &str, content: Vec<u8>) -> Self {
        Self { path: path.into(), content, executable: true }
    }
}

/// The files, and the directories that they are in, as a tar archive; everything is of the second `created` (Unix time).
pub(crate) fn tar(files: &[File], created: u64) -> Result<Vec<u8>> {
    let mut sorted: Vec<&File> = files.iter().collect();
    sorted.sort_by_key(|file| &file.path);
    let mut archive = tar::Builder::new(Vec::new());
    let mut made: Vec<&str> = Vec::new();
    for file in sorted {
        for (end, _) in file.path.match_indices('/') {
            let directory = &file.path[..=end];
            if !made.contains(&directory) {
                append(&mut archive, EntryType::Directory, directory, 0o755, &[], created)?;
                made.push(directory);
            }
        }
        let mode = if file.executable { 0o755 } else { 0o644 };
        append(&mut archive, EntryType::Regular, &file.path, mode, &file.content, created)?;
    }
    Ok(archive.into_inner()?)
}

/// Appends an entry about which nothing depends on who makes it, or where.
pub(crate) fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    kind: EntryType,
    path: &str,
    mode: u32,
    content: &[u8],
    created: u64,
) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(created);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content)?;
    Ok(())
}

/// Compressed, without a name or a time.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
