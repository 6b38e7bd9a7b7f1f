//! A file of the kernel's that is read again and again.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::PathBuf;

/// The most that is read of one such file.
const BYTES_MAX: u64 = 256 * 1_024;

/// Stays open between two looks; what cannot be opened is tried again at the next one.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    file: Option<File>,
}

impl Kept {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// Puts what stands in the file now into `text`; false where it cannot be read.
    pub(super) fn read(&mut self, text: &mut String) -> bool {
        text.clear();
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else {
            return false;
        };
        let read = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| Read::by_ref(file).take(BYTES_MAX).read_to_string(text));
        if read.is_err() {
            self.file = None;
            text.clear();
        }
        read.is_ok()
    }
}
