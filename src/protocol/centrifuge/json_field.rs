//! Fields of a JSON command: strings and payloads borrowed where they can be, `null` the same as left out, and objects that
//! are objects (a derived `Deserialize` would take an array of the values too).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::command::ClaimedEpoch;
use super::filter::{BadFilter, Filter};
use crate::hub::Offset;

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// A value, or its default for `null`.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A string.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    Ok(or_default::<D, Text<'de>>(deserializer)?.0)
}

/// Strings in a list.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Cow<'de, str>>, D::Error> {
    Ok(or_default::<D, Vec<Text<'de>>>(deserializer)?.into_iter().map(|text| text.0).collect())
}

/// A filter. One that is none is told to the subscriber as an error, and costs it only the subscription.
pub(super) fn filter<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Result<Filter, BadFilter>>, D::Error> {
    let value = <&RawValue>::deserialize(deserializer)?.get();
    Ok((value != "null").then(|| Filter::from_json(value)))
}

/// The text of a value as it stands in the input. `null` is a value.
pub(super) fn data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de [u8]>, D::Error> {
    Ok(Some(<&RawValue>::deserialize(deserializer)?.get().as_bytes()))
}

/// The offset of a position.
pub(super) fn offset<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Offset, D::Error> {
    Ok(Offset(or_default(deserializer)?))
}

/// The epoch of a position.
pub(super) fn epoch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ClaimedEpoch, D::Error> {
    Ok(ClaimedEpoch::new(&text(deserializer)?))
}

/// An object.
pub(super) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|object| object.0))
}

/// Objects by name.
pub(super) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<(Cow<'de, str>, T)>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    let named = or_default::<D, Named<'de, Option<Object<T>>>>(deserializer)?;
    Ok(named.0.into_iter().map(|(name, object)| (name, object.map_or_else(T::default, |object| object.0))).collect())
}

/// Strings by name.
pub(super) fn texts_by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<'de>, D::Error> {
    let named = or_default::<D, Named<'de, Option<Text<'de>>>>(deserializer)?;
    Ok(named.0.into_iter().map(|(name, text)| (name, text.unwrap_or_default().0)).collect())
}

/// A string, borrowed unless something is escaped in it. (`Cow` itself borrows only where derived code says so.)
#[derive(Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// A JSON object, and nothing else, as a struct.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// A JSON object with any names, in the order they come.
struct Named<'a, T>(Vec<(Cow<'a, str>, T)>);

impl<T> Default for Named<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
            type Value = Named<'de, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut named = Vec::new();
                while let Some((name, value)) = map.next_entry::<Text<'de>, T>()? {
                    named.push((name.0, value));
                }
                Ok(Named(named))
            }
        }

        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}
