//! Byte strings in a spec or a status: base64 in JSON.

use std::fmt;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A bundle of PEM certificates. All public CAs together take about 300,000 characters.
pub type PemBundle = Base64<{ 512 * 1024 }>;
/// A certificate (DER).
pub type Der = Base64<{ 64 * 1024 }>;

/// Accepts what the API server accepts as `format: byte`: unused bits of the last character need not be zero.
const READER: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes whose base64 has at most `MAX` characters.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Base64<const MAX: usize>(pub Vec<u8>);

impl<const MAX: usize> Base64<MAX> {
    /// The schema of a field of this type.
    pub fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "byte", "maxLength": MAX })
    }
}

impl<const MAX: usize> fmt::Debug for Base64<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<const MAX: usize> Serialize for Base64<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&base64::display::Base64Display::new(
            &self.0,
            &base64::engine::general_purpose::STANDARD,
        ))
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Base64<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<const MAX: usize>;
        impl<const MAX: usize> de::Visitor<'_> for Visitor<MAX> {
            type Value = Base64<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes in base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if text.len() > MAX {
                    return Err(E::custom(format!("longer than {MAX} characters of base64")));
                }
                READER.decode(text).map(Base64).map_err(|_| E::custom("not base64 (RFC 4648 section 4)"))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Short = Base64<8>;

    fn read(text: &str) -> Result<Vec<u8>, String> {
        serde_json::from_value::<Short>(json!(text)).map(|read| read.0).map_err(|error| error.to_string())
    }

    #[test]
    fn base64_that_the_api_server_accepts_is_accepted() {
        for (text, bytes) in
            [("", ""), ("QUJD", "ABC"), ("QUI=", "AB"), ("QUJ=", "AB"), ("QR==", "A"), ("QUI", "AB")]
        {
            assert_eq!(read(text), Ok(bytes.as_bytes().to_vec()), "{text}");
        }
        assert_eq!(json!(Base64::<8>(b"AB".to_vec())), json!("QUI="));
    }

    #[test]
    fn text_that_is_too_long_or_not_base64_is_rejected() {
        assert_eq!(read("QUJDQUJDQUJD"), Err("longer than 8 characters of base64".to_owned()));
        for text in ["Q", "QU J", "=", "Ä", "QUJ-"] {
            assert_eq!(read(text), Err("not base64 (RFC 4648 section 4)".to_owned()), "{text}");
        }
    }
}
