//! Archives, as whoever reads them finds them.

use std::fs;

use anyhow::Result;
use certwright_image::{File, Image};
use oci_spec::image::Arch;

#[test]
fn the_same_image_makes_the_same_bytes() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let write = |name: &str, mut files: Vec<File>| -> Result<Vec<u8>> {
        files.push(File::data("etc/c", "c"));
        let labels = ["a", "b", "c", "d", "e"].map(|label| (label.to_owned(), label.to_owned())).into();
        let image = Image {
            name: "test".into(),
            tag: "1".into(),
            architecture: Arch::Amd64,
            entrypoint: vec!["/a".into()],
            user: "65532:65532".into(),
            labels,
            created: 1_700_000_000,
            files,
        };
        let path = directory.path().join(name);
        image.write(&path)?;
        Ok(fs::read(path)?)
    };
    let files = || vec![File::program("a", b"a".to_vec()), File::data("etc/b", "b")];
    let mut reversed = files();
    reversed.reverse();
    let first = write("first", files())?;
    assert_eq!(first, write("second", files())?);
    assert_eq!(first, write("third", reversed)?, "in another order");
    Ok(())
}
