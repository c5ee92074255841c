//! Limits for a CA's answers. A tenant can name any server in an Issuer.

/// The maximum size of a JSON answer. An order for 250 names of ordinary length is half as large.
pub(super) const MAX_JSON: usize = 64 << 10;
/// The maximum size of a PEM chain. A leaf with a hundred names and four RSA certificates above it take 16 KiB; a chain of
/// post-quantum certificates takes about 40 KiB.
pub(super) const MAX_CHAIN: usize = 128 << 10;
/// The maximum number of certificates in a chain. Public CAs send two to four, a cross-signed private hierarchy perhaps six.
pub(super) const MAX_CHAIN_CERTIFICATES: usize = 10;
/// The maximum size of an answer's headers, names and values, in bytes.
pub(super) const MAX_HEADERS: usize = 32 << 10;
/// The maximum length of a URL in an answer.
pub(super) const MAX_URL: usize = 1024;
/// The maximum number of an account's contacts that are considered, and their maximum length.
pub(super) const MAX_CONTACTS: (usize, usize) = (10, 320);
/// The maximum length of a nonce.
pub(super) const MAX_NONCE: usize = 512;
/// The maximum number of links of one relation that are followed. The rest are ignored. Let's Encrypt offers one alternate
/// chain.
pub(super) const MAX_LINKS: usize = 10;
/// The maximum number of challenges in an authorization.
pub(super) const MAX_CHALLENGES: usize = 20;
/// The maximum number of subproblems that are kept from a problem document.
pub(super) const MAX_SUBPROBLEMS: usize = 100;
/// The maximum number of identities for CAA records in a directory. Let's Encrypt has one, others have about ten.
pub(super) const MAX_CAA_IDENTITIES: usize = 64;
/// The permitted length of a token. 22 characters of base64url contain the 128 bits that RFC 8555 section 8.3 requires.
pub(super) const TOKEN: std::ops::RangeInclusive<usize> = 22..=256;
