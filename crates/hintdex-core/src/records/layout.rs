//! The fields of a record, and the type of the reason why a record is not sound.

/// The reason why a record is not sound.
pub(crate) type Unsound = &'static str;

/// A field of a record: its name, its offset and its width, in bytes.
pub(crate) type Field = (&'static str, usize, usize);

/// The fields of a record; each ends where the next one begins.
pub(super) fn fields(offsets: &[(&'static str, usize)], len_bytes: usize) -> Vec<Field> {
    let ends = offsets.iter().skip(1).map(|(_, offset)| *offset).chain([len_bytes]);
    offsets.iter().zip(ends).map(|((name, offset), end)| (*name, *offset, end - offset)).collect()
}

/// The name of a record and its fields.
macro_rules! layout {
    ($name:literal, $record:ty: $($field:ident),* $(,)?) => {
        ($name, $crate::records::layout::fields(
            &[$((stringify!($field), core::mem::offset_of!($record, $field))),*],
            size_of::<$record>(),
        ))
    };
}
pub(super) use layout;
