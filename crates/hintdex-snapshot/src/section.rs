//! Sections: the bytes of a file by what they are spent on.

/// A part of the file and its length.
///
/// See the example of [`Snapshot`](crate::Snapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// What the part holds, for instance `rows` or `block checks`.
    pub name: &'static str,
    /// The length of the part in bytes.
    pub bytes: u64,
}

impl Section {
    /// Adds `bytes` to the section called `name`.
    pub(crate) fn add(sections: &mut Vec<Self>, name: &'static str, bytes: usize) {
        match sections.iter_mut().find(|section| section.name == name) {
            Some(section) => section.bytes += bytes as u64,
            None if bytes == 0 => {}
            None => sections.push(Self { name, bytes: bytes as u64 }),
        }
    }
}
