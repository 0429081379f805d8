//! Building blocks of the wire structs: strings, maps and lists that borrow from the response where they can.
//!
//! Serde's own `Option<Cow<str>>` always copies; [`Text`] does not. [`Annotations`] keeps the dozen keys that
//! controllers read, so that a `last-applied-configuration` of several kilobytes is skipped without being unescaped.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Interned;

/// A string that borrows from the input unless it contains escapes. `null` reads as empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `None` for an empty string.
    pub fn non_empty(&self) -> Option<&str> {
        Some(self.as_str()).filter(|text| !text.is_empty())
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text)))
    }

    // Quantities may be written as bare numbers by hand-made clients; the API server accepts them.
    fn visit_u64<E>(self, number: u64) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

/// A map of strings, in input order. `null` reads as empty.
#[derive(Clone, Debug, Default)]
pub struct Pairs<'a>(pub Vec<(Text<'a>, Text<'a>)>);

impl<'a> Pairs<'a> {
    /// The value of `key`; an empty value is a value.
    pub fn get(&self, key: &str) -> Option<&Text<'a>> {
        self.0.iter().find(|(name, _)| name.as_str() == key).map(|(_, value)| value)
    }

    /// All of them, interned.
    pub(super) fn keep(&self) -> Box<[(Interned, Interned)]> {
        self.keep_if(|_| true)
    }

    /// Those with one of `keys`, interned.
    pub(super) fn keep_only(&self, keys: &[&str]) -> Box<[(Interned, Interned)]> {
        self.keep_if(|key| keys.contains(&key))
    }

    fn keep_if(&self, wanted: impl Fn(&str) -> bool) -> Box<[(Interned, Interned)]> {
        let pairs = self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let pairs = pairs.filter(|(key, _)| wanted(key));
        pairs.map(|(key, value)| (Interned::new(key), Interned::new(value))).collect()
    }
}

/// Annotations, reduced to the keys that some controller reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Annotations<'a>(pub(super) Pairs<'a>);

/// Labels, reduced to those that some projection reads.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadLabels<'a>(pub(super) Pairs<'a>);

struct PairsVisitor {
    wanted: fn(&str) -> bool,
}

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_unit<E>(self) -> Result<Pairs<'de>, E> {
        Ok(Pairs::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if (self.wanted)(key.as_str()) {
                pairs.push((key, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Pairs(pairs))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairsVisitor { wanted: |_| true })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(PairsVisitor { wanted: super::meta::annotation_is_read })
            .map(Annotations)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ReadLabels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairsVisitor { wanted: super::meta::label_is_read }).map(ReadLabels)
    }
}

/// A list; `null` reads as empty.
#[derive(Clone, Debug)]
pub struct Items<T>(pub Vec<T>);

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

struct ItemsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ItemsVisitor<T> {
    type Value = Items<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Items<T>, E> {
        Ok(Items::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Items<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Items(items))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemsVisitor(PhantomData))
    }
}

/// Whether a member is there at all; its content is skipped. `null` counts as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Present(pub(super) bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<IgnoredAny>::deserialize(deserializer).map(|value| Self(value.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_borrows_unless_it_must_unescape() {
        let plain: Text<'_> = serde_json::from_slice(br#""abc""#).unwrap();
        assert!(matches!(plain.0, Cow::Borrowed("abc")));
        let escaped: Text<'_> = serde_json::from_slice(br#""a\nb""#).unwrap();
        assert_eq!(escaped.as_str(), "a\nb");
        assert_eq!(serde_json::from_slice::<Text<'_>>(b"null").unwrap().non_empty(), None);
        assert_eq!(serde_json::from_slice::<Text<'_>>(b"5").unwrap().as_str(), "5");
    }

    #[test]
    fn annotations_keep_only_what_is_read() {
        let json = br#"{"kubectl.kubernetes.io/last-applied-configuration":"{\"a\":1}",
            "pv.kubernetes.io/provisioned-by":"d"}"#;
        let read: Annotations<'_> = serde_json::from_slice(json).unwrap();
        assert_eq!(read.0.0.len(), 1);
        assert_eq!(read.0.get("pv.kubernetes.io/provisioned-by").unwrap().as_str(), "d");
    }

    #[test]
    fn null_lists_and_maps_are_empty() {
        assert!(serde_json::from_slice::<Items<Text<'_>>>(b"null").unwrap().0.is_empty());
        assert!(serde_json::from_slice::<Pairs<'_>>(b"null").unwrap().0.is_empty());
        assert_eq!(serde_json::from_slice::<Present>(b"null").unwrap(), Present(false));
        assert_eq!(serde_json::from_slice::<Present>(b"{}").unwrap(), Present(true));
    }
}
