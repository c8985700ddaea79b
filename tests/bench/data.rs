//! Generated rows: pseudo-random, realistic, and the same in every run and every database.

use std::io::{Result, Write};

/// How keys follow each other in the order of insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Keys {
    /// 1, 2, 3, …
    Sequential,
    /// All over 64 bits, none twice.
    Random,
}

impl Keys {
    /// The word in names and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Random => "random",
        }
    }

    /// The key of a row.
    pub fn key(self, row: u64) -> i64 {
        match self {
            Self::Sequential => row.cast_signed() + 1,
            Self::Random => mix(row).cast_signed(),
        }
    }
}

/// SplitMix64's last step: every number to another one, none twice.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Pseudo-random numbers, seeded by what they are for.
pub struct Random(u64);

impl Random {
    /// The numbers of one row; another version of it has others.
    pub fn of_row(row: u64, version: u64) -> Self {
        Self(mix(row ^ mix(version)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Less than `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Between 0 and 1.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        let position = self.below(words.len() as u64) as usize;
        words.get(position).copied().unwrap_or_default()
    }
}

const FIRST: [&str; 16] = [
    "anna", "bilal", "chiara", "dmitri", "eun-ji", "fatou", "george", "hana", "ines", "jonas",
    "kwame", "lucía", "mehmet", "noor", "olga", "priya",
];
const LAST: [&str; 16] = [
    "almeida",
    "baker",
    "chen",
    "dubois",
    "eriksen",
    "fischer",
    "garcia",
    "haddad",
    "ito",
    "jones",
    "kowalski",
    "lindqvist",
    "müller",
    "nguyen",
    "okafor",
    "petrov",
];
const PROVIDER: [&str; 6] = [
    "example.com",
    "example.org",
    "mail.example.net",
    "post.example",
    "uni.example.edu",
    "firm.example",
];
const CITY: [&str; 8] = [
    "Accra", "Bergen", "Córdoba", "Dhaka", "Essen", "Fukuoka", "Graz", "Halifax",
];
const WORD: [&str; 20] = [
    "order", "shipped", "late", "customer", "called", "twice", "refund", "pending", "gift",
    "wrapped", "address", "changed", "café", "invoice", "paid", "cash", "returned", "broken",
    "fragile", "ok",
];

/// What stands for NULL in the text of rows.
pub const NULL: &str = "\\N";

/// The rows of a table, in the order in which they are inserted.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// How many.
    pub count: u64,
    /// In which order their keys come.
    pub keys: Keys,
    /// Every how many rows one is an older version of what it is without this.
    pub stale_every: Option<u64>,
}

impl Rows {
    /// Writes a line a row: cells with tabs between them, as PostgreSQL's COPY reads them.
    pub fn write(self, out: &mut dyn Write) -> Result<()> {
        for row in 0..self.count {
            let stale = self.stale_every.is_some_and(|every| row % every == 0);
            write_row(out, self.keys.key(row), row, stale)?;
        }
        Ok(())
    }
}

fn write_row(out: &mut dyn Write, key: i64, row: u64, stale: bool) -> Result<()> {
    let mut random = Random::of_row(row, u64::from(stale));
    let (first, last) = (random.one_of(&FIRST), random.one_of(&LAST));
    let (number, provider) = (random.below(100_000), random.one_of(&PROVIDER));
    write!(out, "{key}\t{first}.{last}{number}@{provider}\t")?;
    let cents = (random.fraction().powi(4) * 1e8) as u64;
    write!(out, "{}.{:02}\t", cents / 100, cents % 100)?;
    let mut time = Random::of_row(row, 2);
    // Newer than the older version of the same row for certain.
    let day = time.below(3_000) + u64::from(!stale);
    let (year, month, day) = (2014 + day / 336, day / 28 % 12 + 1, day % 28 + 1);
    let (second, micro) = (time.below(86_400), random.below(1_000_000));
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    write!(
        out,
        "{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micro:06}+00\t"
    )?;
    write!(out, "{}\t", random.below(2))?;
    let (city, visits, tag) = (
        random.one_of(&CITY),
        random.below(5_000),
        random.one_of(&WORD),
    );
    write!(
        out,
        "{{\"city\": \"{city}\", \"tags\": [\"{tag}\", \"{}\"], \"visits\": {visits}}}\t",
        random.one_of(&WORD)
    )?;
    write!(out, "{:?}\t", random.fraction() * 1e6 - 5e5)?;
    // One in three rows has no note.
    match random.below(3) {
        0 => out.write_all(NULL.as_bytes())?,
        _ => {
            out.write_all(random.one_of(&WORD).as_bytes())?;
            for _ in 0..random.below(12) {
                write!(out, " {}", random.one_of(&WORD))?;
            }
        }
    }
    out.write_all(b"\n")
}

/// Writes rows of `columns` cells: the key, then integers, texts, floats and NULLs in turn.
pub fn write_wide(out: &mut dyn Write, rows: u64, columns: usize) -> Result<()> {
    for row in 0..rows {
        let mut random = Random::of_row(row, 3);
        write!(out, "{}", Keys::Random.key(row))?;
        for column in 1..columns {
            match column % 4 {
                0 => write!(out, "\t{}", random.below(1_000_000))?,
                1 => write!(out, "\t{}", random.one_of(&WORD))?,
                2 => write!(out, "\t{:?}", random.fraction())?,
                _ => write!(out, "\t{NULL}")?,
            }
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes rows of a key and one text of `size` bytes that hardly compresses.
pub fn write_fat(out: &mut dyn Write, rows: u64, size: usize) -> Result<()> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for row in 0..rows {
        let mut random = Random::of_row(row, 4);
        let letter = |_| {
            let position = random.below(64) as usize;
            LETTERS.get(position).copied().unwrap_or(b'=')
        };
        let text: Vec<u8> = (0..size).map(letter).collect();
        write!(out, "{}\t", Keys::Sequential.key(row))?;
        out.write_all(&text)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
