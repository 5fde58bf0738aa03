//! Lists of rules and of corners: a name to use in code, and the sentence that is printed.

macro_rules! sentences {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $sentence:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($variant),* }

        impl $name {
            pub(crate) const ALL: &'static [&'static str] = &[$($sentence),*];

            /// The set that holds this one alone.
            pub(crate) const fn set(self) -> crate::runner::Set {
                1 << self as u32
            }

            /// This one, or none.
            #[allow(dead_code, reason = "not every list is asked so")]
            pub(crate) const fn when(self, so: bool) -> crate::runner::Set {
                if so { self.set() } else { 0 }
            }
        }
    };
}

pub(crate) use sentences;
