//! CSV files, plain or gzipped: read line by line, and what cannot be used of them told line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::{StringRecord, Trim};
use indicatif::ProgressBar;

use crate::Done;
use crate::failure::Failure;

/// The first bytes of a gzip file (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The longest line, in bytes: what is longer is no line of such a file, and must not exhaust memory.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// A CSV file of which some columns are read. A record is one line: a quote that was left open spoils its own line and
/// does not swallow the rest of the file.
pub struct Sheet<const N: usize> {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    number: u64,
    names: [&'static str; N],
    places: [usize; N],
}

/// A line of a sheet.
pub struct SheetLine<const N: usize> {
    /// Its number in the file, from 1.
    pub number: u64,
    /// The columns that are read, or why they cannot be.
    pub fields: Result<[String; N], String>,
    /// The whole line.
    pub text: String,
}

impl<const N: usize> Sheet<N> {
    /// Opens a file that must have columns of these names; `bar` follows the bytes that are read of it.
    ///
    /// # Errors
    /// When it cannot be read, or a column is missing.
    pub fn open(path: &Path, names: [&'static str; N], bar: &ProgressBar) -> Result<Self, Failure> {
        let reader = unpacked(path, bar).map_err(|error| Failure::file(path, &error))?;
        let mut sheet = Self { path: path.to_owned(), reader, number: 0, names, places: [0; N] };
        let header = sheet.next_text()?.ok_or_else(|| Failure::file(path, &"the file is empty"))?;
        let header = header.map_err(|reason| Failure::file(path, &reason))?;
        let header =
            split(header.trim_start_matches('\u{feff}')).map_err(|reason| Failure::file(path, &reason))?;
        for (name, place) in names.iter().zip(&mut sheet.places) {
            let found = header.iter().position(|column| column == *name);
            *place = found.ok_or_else(|| Failure::file(path, &format!("there is no column {name}")))?;
        }
        Ok(sheet)
    }

    /// The next line, or none at the end. Empty lines are passed over.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub fn next_line(&mut self) -> Result<Option<SheetLine<N>>, Failure> {
        let Some(text) = self.next_text()? else { return Ok(None) };
        let (fields, text) = match text {
            Ok(text) => (split(&text).and_then(|record| self.fields(&record)), text),
            Err(reason) => (Err(reason), String::new()),
        };
        Ok(Some(SheetLine { number: self.number, fields, text }))
    }

    /// The next line that is not empty, or why it is no text.
    fn next_text(&mut self) -> Result<Option<Result<String, String>>, Failure> {
        loop {
            let mut bytes = Vec::new();
            let read = self.reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes);
            self.number += 1;
            let failed = |why: &dyn std::fmt::Display| {
                Failure::file(&self.path, &format!("line {}: {why}", self.number))
            };
            if read.map_err(|error| failed(&error))? == 0 {
                return Ok(None);
            }
            if bytes.len() as u64 == MAX_LINE_BYTES && !bytes.ends_with(b"\n") {
                return Err(failed(&format!("longer than {MAX_LINE_BYTES} bytes")));
            }
            match String::from_utf8(bytes) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => return Ok(Some(Ok(text.trim_end_matches(['\r', '\n']).to_owned()))),
                Err(error) => return Ok(Some(Err(format!("the line is not UTF-8: {}", error.utf8_error())))),
            }
        }
    }

    fn fields(&self, record: &StringRecord) -> Result<[String; N], String> {
        let mut fields = [const { String::new() }; N];
        for ((name, place), field) in self.names.iter().zip(self.places).zip(&mut fields) {
            record.get(place).ok_or_else(|| format!("there is no {name}"))?.clone_into(field);
        }
        Ok(fields)
    }
}

/// The fields of a line.
fn split(text: &str) -> Result<StringRecord, String> {
    if text.matches('"').count() % 2 == 1 {
        return Err("a quote is left open".to_owned());
    }
    let mut csv = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(Trim::All)
        .buffer_capacity(text.len())
        .from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    csv.read_record(&mut record).map_err(|error| error.to_string())?;
    Ok(record)
}

/// The bytes of a file, unpacked when it is gzipped.
fn unpacked(path: &Path, bar: &ProgressBar) -> std::io::Result<Box<dyn BufRead>> {
    let file = File::open(path)?;
    bar.set_length(file.metadata()?.len());
    let mut reader = BufReader::new(bar.wrap_read(file));
    let is_gzip = reader.fill_buf()?.starts_with(&GZIP);
    Ok(if is_gzip {
        Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(reader)))
    } else {
        Box::new(reader)
    })
}

/// A file that tells which lines of another cannot be used, and why: `line,reason,record`.
pub struct Rejects {
    path: PathBuf,
    csv: csv::Writer<File>,
    count: u64,
}

impl Rejects {
    /// Starts the file anew.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let csv = csv::Writer::from_path(path).map_err(|error| Failure::file(path, &error))?;
        let mut rejects = Self { path: path.to_owned(), csv, count: 0 };
        rejects.write(["line", "reason", "record"])?;
        Ok(rejects)
    }

    /// Tells of a line.
    pub fn add(&mut self, line: u64, reason: &str, record: &str) -> Done {
        self.count += 1;
        self.write([&line.to_string(), reason, record])
    }

    /// Gives everything so far to the system.
    pub fn flush(&mut self) -> Done {
        self.csv.flush().map_err(|error| Failure::file(&self.path, &error))
    }

    /// How many lines were told of.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Where they are told.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, fields: [&str; 3]) -> Done {
        self.csv.write_record(fields).map_err(|error| Failure::file(&self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &str = "a,b,c\r\n1, 2 ,3\r\n\r\n4\r\n\"x,y\",5,6\r\n\"x,7,8\r\n9,\"\"\"1\"\"\",0";

    fn sheet(bytes: &[u8]) -> Result<Sheet<2>, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sheet");
        std::fs::write(&path, bytes).unwrap();
        Sheet::open(&path, ["b", "a"], &ProgressBar::hidden())
    }

    fn lines(mut sheet: Sheet<2>) -> Vec<(u64, Result<[String; 2], String>)> {
        let mut lines = Vec::new();
        while let Some(line) = sheet.next_line().map_err(|failure| failure.text()).unwrap() {
            lines.push((line.number, line.fields));
        }
        lines
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn columns_are_found_by_name_and_lines_have_numbers() {
        for bytes in [TEXT.as_bytes().to_vec(), packed(TEXT.as_bytes())] {
            let found = lines(sheet(&bytes).ok().unwrap());
            let told = |b: &str, a: &str| Ok([b.to_owned(), a.to_owned()]);
            let expected = [
                (2, told("2", "1")),
                (4, Err("there is no b".to_owned())),
                (5, told("5", "x,y")),
                (6, Err("a quote is left open".to_owned())),
                (7, told("\"1\"", "9")),
            ];
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_mark_of_utf_8_before_the_header_is_passed_over() {
        let found = lines(sheet("\u{feff}a,b\n1,2\n".as_bytes()).ok().unwrap());
        assert_eq!(found, [(2, Ok(["2".to_owned(), "1".to_owned()]))]);
    }

    #[test]
    fn a_line_without_end_is_not_read_into_memory() {
        let endless = [b"a,b\n".as_slice(), &vec![b'x'; 3 << 20]].concat();
        let failure = sheet(&endless).ok().unwrap().next_line().err().unwrap();
        assert!(failure.text().contains("line 2: longer than"), "{}", failure.text());
    }

    #[test]
    fn a_line_that_is_not_utf_8_is_told_and_the_rest_read() {
        let found = lines(sheet(b"a,b\n\xff,1\n2,3\n").ok().unwrap());
        assert!(found[0].1.as_ref().unwrap_err().contains("UTF-8"));
        assert_eq!((found[0].0, found[1].0), (2, 3));
    }

    #[test]
    fn a_gzip_file_that_ends_too_early_is_an_error_and_no_end() {
        let mut bytes = packed(TEXT.repeat(100).as_bytes());
        bytes.truncate(bytes.len() / 2);
        let mut sheet = match sheet(&bytes) {
            Ok(sheet) => sheet,
            Err(failure) => return assert_eq!(failure.exit_code(), 2),
        };
        let failure = loop {
            match sheet.next_line() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the end was taken for the end"),
                Err(failure) => break failure,
            }
        };
        assert_eq!(failure.exit_code(), 2);
    }

    #[test]
    fn a_column_that_is_missing_is_named() {
        assert!(sheet(b"a,c\n1,2\n").err().unwrap().text().contains("there is no column b"));
        assert!(sheet(b"").err().unwrap().text().contains("the file is empty"));
    }

    #[test]
    fn rejects_are_csv_whatever_they_say() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rejects.csv");
        let mut rejects = Rejects::create(&path).ok().unwrap();
        rejects.add(7, "got \"x, y\"", "1,\"x, y\"").ok().unwrap();
        rejects.flush().ok().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, "line,reason,record\n7,\"got \"\"x, y\"\"\",\"1,\"\"x, y\"\"\"\n");
        assert_eq!(rejects.count(), 1);
    }
}
