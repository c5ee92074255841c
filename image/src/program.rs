//! What a program is made for.

use anyhow::{Context, Result, bail, ensure};
use object::{
    Endianness,
    elf::{EM_AARCH64, EM_X86_64, FileHeader64, PT_INTERP},
    read::elf::{FileHeader, ProgramHeader},
};
use oci_spec::image::Arch;

/// A program for Linux that needs no other file to run.
pub struct Program {
    /// Its bytes.
    pub content: Vec<u8>,
    /// The processors that it is for.
    pub architecture: Arch,
}

impl Program {
    /// Takes a program in the format ELF. One that is linked dynamically is refused: there is no loader in an image made
    /// from scratch.
    pub fn new(content: Vec<u8>) -> Result<Self> {
        let header = FileHeader64::<Endianness>::parse(content.as_slice())
            .context("it is no 64-bit program in the format ELF")?;
        let endian = header.endian()?;
        let architecture = match header.e_machine(endian) {
            EM_X86_64 => Arch::Amd64,
            EM_AARCH64 => Arch::ARM64,
            other => bail!("it is for machines of the ELF number {other}, which has no name here"),
        };
        let segments = header.program_headers(endian, content.as_slice())?;
        ensure!(
            segments.iter().all(|segment| segment.p_type(endian) != PT_INTERP),
            "it is linked dynamically and would not start from scratch; build it with -C target-feature=+crt-static and an \
             explicit --target"
        );
        Ok(Self { content, architecture })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_linked_dynamically_is_refused() {
        let test = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let refused = Program::new(test).err().unwrap().to_string();
        assert!(refused.starts_with("it is linked dynamically"), "{refused}");
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let refused = Program::new(b"#!/bin/sh\n".to_vec()).err().unwrap().to_string();
        assert_eq!(refused, "it is no 64-bit program in the format ELF");
    }
}
