//! The affinities of declared types.

/// How SQLite converts values that it stores in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Nothing is converted.
    Blob,
    /// Numbers become text.
    Text,
    /// Text that looks like a number becomes one; whole floating-point numbers become integers.
    Numeric,
    /// As [`Self::Numeric`].
    Integer,
    /// As [`Self::Numeric`], and integers become floating-point numbers.
    Real,
}

impl Affinity {
    /// Applies the rules of <https://www.sqlite.org/datatype3.html#determination_of_column_affinity>.
    pub fn of(declared: &str, strict: bool) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
        if strict && declared == "ANY" {
            Self::Blob
        } else if has(&["INT"]) {
            Self::Integer
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if declared.is_empty() || has(&["BLOB"]) {
            Self::Blob
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Self::Real
        } else {
            Self::Numeric
        }
    }

    /// Returns true if text that looks like a number becomes one.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Numeric | Self::Integer | Self::Real)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinities_follow_the_documented_rules() {
        for (declared, affinity) in [
            ("INT", Affinity::Integer),
            ("point", Affinity::Integer),
            ("CHARINT", Affinity::Integer),
            ("NVARCHAR(160)", Affinity::Text),
            ("BLOBTEXT", Affinity::Text),
            ("", Affinity::Blob),
            ("BLOB", Affinity::Blob),
            ("DOUBLE PRECISION", Affinity::Real),
            ("BLOBREAL", Affinity::Blob),
            ("STRING", Affinity::Numeric),
            ("DECIMAL(10,5)", Affinity::Numeric),
            ("ANY", Affinity::Numeric),
        ] {
            assert_eq!(Affinity::of(declared, false), affinity, "{declared}");
        }
        assert_eq!(Affinity::of("ANY", true), Affinity::Blob);
    }
}
