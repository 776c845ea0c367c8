//! Enums whose variants have names in data: how they are written and read back.

/// The text names no variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} \"{given}\"; it is one of {known}")]
pub struct UnknownName {
    /// What the enum is, in the singular: `stream`.
    pub what: &'static str,
    pub given: String,
    /// The names of all variants, separated by commas.
    pub known: String,
}

/// Implements `Display` and `FromStr` for an enum that has `ALL` and `name()`.
macro_rules! named_enum {
    ($type:ty, $what:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::named_enum::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.into_iter().find(|variant| variant.name() == text).ok_or_else(|| {
                    $crate::named_enum::UnknownName {
                        what: $what,
                        given: text.to_owned(),
                        known: Self::ALL.map(Self::name).join(", "),
                    }
                })
            }
        }
    };
}

pub(crate) use named_enum;

#[cfg(test)]
mod tests {
    use crate::{ActionKind, Stage, Stream, Tier};

    #[test]
    fn names_are_read_back() {
        for stage in Stage::ALL {
            assert_eq!(stage.to_string().parse(), Ok(stage));
        }
        for tier in Tier::ALL {
            assert_eq!(tier.to_string().parse(), Ok(tier));
        }
        for kind in ActionKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for stream in Stream::ALL {
            assert_eq!(stream.to_string().parse(), Ok(stream));
            assert_eq!(stream.table().parse(), Ok(stream));
        }
        assert_eq!(
            "liv".parse::<Stage>().expect_err("no stage").to_string(),
            "unknown stage \"liv\"; it is one of onboarding, stuck, live, churned"
        );
        assert_eq!(
            "calls".parse::<Stream>().expect_err("no stream").to_string(),
            "unknown stream \"calls\"; it is one of api-calls, partner-events, billing-events, \
             support-events"
        );
    }

    #[test]
    fn serde_writes_the_same_names() {
        use serde::de::IntoDeserializer;
        use serde::{Deserialize, de::value::Error};

        fn read<'de, T: Deserialize<'de>>(name: &'de str) -> Result<T, Error> {
            T::deserialize(name.into_deserializer())
        }
        for stage in Stage::ALL {
            assert_eq!(read(stage.name()), Ok(stage));
        }
        for tier in Tier::ALL {
            assert_eq!(read(tier.name()), Ok(tier));
        }
        for kind in ActionKind::ALL {
            assert_eq!(read(kind.name()), Ok(kind));
        }
    }
}
