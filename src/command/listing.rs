//! Whether the arguments of a command were checked in advance. No I/O.

/// Whether the arguments of a command were checked in advance. The type is private, so only this
/// crate can claim it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(unnameable_types, reason = "only commands of this crate are checked in advance")]
pub struct Listing(bool);

impl Listing {
    /// The arguments cannot make the command unfit.
    pub(super) const CHECKED: Self = Self(true);

    /// The arguments of each request are checked if the name is not sufficient.
    pub(super) const FREE: Self = Self(false);

    pub(super) const fn is_checked(self) -> bool {
        self.0
    }
}
