//! How much a value of the contract is: its bytes, its longest text and its longest list.

use std::fmt::Display;

use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// What an element of a list or a text costs beside its bytes: about one allocation.
const ELEMENT: u64 = 32;

/// What a number costs.
const NUMBER: u64 = 8;

/// How much a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Bytes, and what the host does for each element.
    pub units: u64,
    /// The bytes of the longest text or list of bytes.
    pub longest_text: u64,
    /// The elements of the longest list of anything else.
    pub longest_list: u64,
}

/// Weighs a value.
pub(crate) fn weigh(value: &(impl Serialize + ?Sized)) -> Weight {
    let mut weight = Weight::default();
    // Counting never fails.
    let _ = value.serialize(&mut weight);
    weight
}

impl Weight {
    fn bytes(&mut self, length: usize) {
        let length = length as u64;
        self.units = self.units.saturating_add(length).saturating_add(ELEMENT);
        self.longest_text = self.longest_text.max(length);
    }

    fn number(&mut self) -> Result<(), Never> {
        self.units = self.units.saturating_add(NUMBER);
        Ok(())
    }
}

/// Counting has no errors; serde wants a type for them.
#[derive(Debug, thiserror::Error)]
#[error("a value cannot be counted")]
pub(crate) struct Never;

impl ser::Error for Never {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

/// A list that is counted element by element.
pub(crate) struct List<'a> {
    weight: &'a mut Weight,
    elements: u64,
}

impl List<'_> {
    fn add(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Never> {
        self.elements += 1;
        self.weight.units = self.weight.units.saturating_add(ELEMENT);
        self.weight.longest_list = self.weight.longest_list.max(self.elements);
        value.serialize(&mut *self.weight)
    }
}

impl<'a> Serializer for &'a mut Weight {
    type Ok = ();
    type Error = Never;
    type SerializeSeq = List<'a>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn serialize_bool(self, _: bool) -> Result<(), Never> {
        self.number()
    }

    fn serialize_i8(self, _: i8) -> Result<(), Never> {
        self.number()
    }

    fn serialize_i16(self, _: i16) -> Result<(), Never> {
        self.number()
    }

    fn serialize_i32(self, _: i32) -> Result<(), Never> {
        self.number()
    }

    fn serialize_i64(self, _: i64) -> Result<(), Never> {
        self.number()
    }

    fn serialize_u8(self, _: u8) -> Result<(), Never> {
        self.number()
    }

    fn serialize_u16(self, _: u16) -> Result<(), Never> {
        self.number()
    }

    fn serialize_u32(self, _: u32) -> Result<(), Never> {
        self.number()
    }

    fn serialize_u64(self, _: u64) -> Result<(), Never> {
        self.number()
    }

    fn serialize_f32(self, _: f32) -> Result<(), Never> {
        self.number()
    }

    fn serialize_f64(self, _: f64) -> Result<(), Never> {
        self.number()
    }

    fn serialize_char(self, _: char) -> Result<(), Never> {
        self.number()
    }

    fn serialize_str(self, text: &str) -> Result<(), Never> {
        self.bytes(text.len());
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Never> {
        self.bytes(bytes.len());
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Never> {
        self.number()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Never> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Never> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Never> {
        self.number()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        self.number()?;
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Never> {
        self.units = self.units.saturating_add(ELEMENT);
        Ok(List {
            weight: self,
            elements: 0,
        })
    }

    /// A list of bytes is counted at once: it may have millions.
    fn collect_seq<I>(self, elements: I) -> Result<(), Never>
    where
        I: IntoIterator,
        I::Item: Serialize,
    {
        let mut elements = elements.into_iter();
        if std::any::type_name::<I::Item>() == std::any::type_name::<&u8>() {
            self.bytes(elements.size_hint().0);
            return Ok(());
        }
        let mut list = self.serialize_seq(None)?;
        elements.try_for_each(|element| list.add(&element))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Never> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Never> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Never> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Never> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Never> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Never> {
        Ok(self)
    }
}

impl SerializeSeq for List<'_> {
    type Ok = ();
    type Error = Never;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.add(value)
    }

    fn end(self) -> Result<(), Never> {
        Ok(())
    }
}

impl SerializeMap for &mut Weight {
    type Ok = ();
    type Error = Never;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Never> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Never> {
        Ok(())
    }
}

/// Tuples and records have nothing of their own.
macro_rules! counts_its_parts {
    ($($kind:ident $part:ident($($name:ident: $type:ty)?);)*) => {$(
        impl $kind for &mut Weight {
            type Ok = ();
            type Error = Never;

            fn $part<T: Serialize + ?Sized>(&mut self, $($name: $type,)? value: &T) -> Result<(), Never> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), Never> {
                Ok(())
            }
        }
    )*};
}

counts_its_parts! {
    SerializeTuple serialize_element();
    SerializeTupleStruct serialize_field();
    SerializeTupleVariant serialize_field();
    SerializeStruct serialize_field(_name: &'static str);
    SerializeStructVariant serialize_field(_name: &'static str);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::types::{Cell, Error};

    #[test]
    fn bytes_are_counted_at_once_and_elements_one_by_one() {
        let bytes = weigh(&vec![7_u8; 1 << 20]);
        assert_eq!(bytes.units, (1 << 20) + ELEMENT);
        assert_eq!((bytes.longest_text, bytes.longest_list), (1 << 20, 0));
        let texts = weigh(&vec!["four"; 10]);
        assert_eq!(texts.units, ELEMENT + 10 * (2 * ELEMENT + 4));
        assert_eq!((texts.longest_text, texts.longest_list), (4, 10));
        let row = weigh(&(1_u32, vec![Cell::Bytes(vec![0; 500]), Cell::Null]));
        assert_eq!((row.longest_text, row.longest_list), (500, 2));
        let answer: Result<Vec<String>, Error> = Err(Error::Limit("x".repeat(300)));
        assert_eq!(weigh(&answer).longest_text, 300);
    }
}
