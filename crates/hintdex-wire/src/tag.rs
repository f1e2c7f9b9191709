//! Authentication tags, which are compared in constant time only.

use subtle::ConstantTimeEq;

use crate::mac;
use crate::mac::Derived;

/// The length in bytes of a tag of [`Suite::AesCtrHmac`](crate::Suite::AesCtrHmac).
///
/// The length is part of the type everywhere: a random packet passes with
/// probability 2⁻⁶⁴ for each tag tried, and no packet can request a comparison of
/// fewer bytes.
pub const TAG_LEN_BYTES: usize = 8;

/// The first bytes of an HMAC-SHA256. The type has no `==` on purpose: a
/// comparison that stops at the first wrong byte reveals by its time how many
/// bytes of a forged tag were right.
pub(crate) struct Tag([u8; TAG_LEN_BYTES]);

impl Tag {
    /// The tag of `covered` under a key of at most 64 bytes: four compressions up to 55 bytes.
    pub(crate) fn of(key: &[u8], covered: &[&[u8]]) -> Self {
        let mut full = Derived::default();
        mac::finish_into(mac::keyed(key), covered, &mut full);
        let mut tag = [0; TAG_LEN_BYTES];
        tag.copy_from_slice(full.split_at(TAG_LEN_BYTES).0);
        Self(tag)
    }

    /// Whether `sent` is this tag. Takes the same time for every `sent`.
    pub(crate) fn is(&self, sent: &[u8; TAG_LEN_BYTES]) -> bool {
        self.0.ct_eq(sent).into()
    }

    /// Writes the tag to the end of a packet.
    pub(crate) const fn write(&self, out: &mut [u8; TAG_LEN_BYTES]) {
        *out = self.0;
    }
}

#[cfg(test)]
mod tests {
    use super::{TAG_LEN_BYTES, Tag};
    use crate::{HintKey, MacKey, MasterKey, PacketKey};

    /// Compiles only while none of `types` has `==`: with it, both traits would
    /// offer `CHECKED`, and the compiler could not choose.
    macro_rules! have_no_equality {
        ($($name:ty),*) => {$(
            const _: () = {
                struct HasEquality;
                trait Check<Which> {
                    const CHECKED: () = ();
                }
                impl<T: ?Sized> Check<()> for T {}
                impl<T: ?Sized + PartialEq> Check<HasEquality> for T {}
                <$name as Check<_>>::CHECKED
            };
        )*};
    }
    have_no_equality!(Tag, HintKey, PacketKey, MacKey, MasterKey);

    /// The comparison inside this module is the one place where the bytes of a tag
    /// can be reached. Timing cannot be tested reliably, so the source is.
    #[test]
    fn tags_are_compared_by_ct_eq_alone() {
        let source = include_str!("tag.rs");
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code.filter(|line| !line.contains("ct_eq(")) {
            for comparison in ["==", "!=", ".eq(", ".ne(", ".cmp(", "matches!", ".all(", ".any("] {
                assert!(!line.contains(comparison), "{line}");
            }
        }
        assert_eq!(source.matches("self.0.ct_eq(sent)").count(), 2, "there, and in this line");
    }

    /// RFC 4231, test case 2: the key "Jefe" padded with zeros is the same key.
    #[test]
    fn a_tag_is_the_head_of_an_hmac_under_the_second_half_of_the_key() {
        let mut dev_key = [0; 32];
        dev_key[16..20].copy_from_slice(b"Jefe");
        let tag = Tag::of(
            PacketKey::copy_of(&dev_key).second_half(),
            &[b"what do ya want ", b"for nothing?"],
        );
        let sent = 0x5bdc_c146_bf60_754e_u64;
        assert!(tag.is(&sent.to_be_bytes()));
        let mut written = [0; TAG_LEN_BYTES];
        tag.write(&mut written);
        assert_eq!(written, sent.to_be_bytes());
        for bit in 0..64 {
            assert!(!tag.is(&(sent ^ 1 << bit).to_be_bytes()), "bit {bit}");
        }
    }
}
