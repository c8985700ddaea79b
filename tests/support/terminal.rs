//! A command in a real pseudo-terminal, and what its screen shows.

use std::process::{Command, Stdio};

use super::site::{Running, Site};

/// The width of the terminal.
pub const COLUMNS: usize = 80;

/// A line of a screen.
#[derive(Clone, Debug, Default)]
struct Line {
    characters: Vec<char>,
    /// Whether it went on in the next line because it was too long.
    is_wrapped: bool,
}

/// What a terminal shows, scrolled-off lines included: as much of an interpreter as our output needs.
#[derive(Debug)]
pub struct Screen {
    lines: Vec<Line>,
    row: usize,
    column: usize,
    /// What each change of the screen left, if it was asked for.
    pub states: Vec<String>,
}

impl Screen {
    /// The screen after some output, with all its states.
    pub fn of(output: &str) -> Self {
        let mut screen = Self {
            lines: vec![Line::default()],
            row: 0,
            column: 0,
            states: Vec::new(),
        };
        let mut rest = output.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '\r' => screen.column = 0,
                '\n' => screen.down(1),
                '\u{8}' => screen.column = screen.column.saturating_sub(1),
                '\u{7}' => {}
                '\u{1b}' => {
                    assert_eq!(
                        rest.next(),
                        Some('['),
                        "an order that is not known: {output:?}"
                    );
                    let mut parameters = String::new();
                    let order = loop {
                        match rest.next().unwrap() {
                            end @ '@'..='~' => break end,
                            parameter => parameters.push(parameter),
                        }
                    };
                    screen.obey(order, &parameters);
                }
                printed => screen.print(printed),
            }
        }
        screen.keep_state();
        screen
    }

    /// Its lines without what is blank at their ends.
    pub fn lines(&self) -> Vec<String> {
        let text = |line: &Line| line.characters.iter().collect::<String>();
        let mut lines: Vec<String> = self
            .lines
            .iter()
            .map(|line| text(line).trim_end().to_owned())
            .collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// Its text.
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// The lines that were too long for the terminal.
    pub fn wrapped(&self) -> Vec<String> {
        let wrapped = self.lines.iter().filter(|line| line.is_wrapped);
        wrapped
            .map(|line| line.characters.iter().collect())
            .collect()
    }

    /// How often a text is on it.
    pub fn count(&self, text: &str) -> usize {
        self.text().matches(text).count()
    }

    fn down(&mut self, rows: usize) {
        self.row += rows;
        while self.lines.len() <= self.row {
            self.lines.push(Line::default());
        }
    }

    fn print(&mut self, character: char) {
        if self.column >= COLUMNS {
            self.lines[self.row].is_wrapped = true;
            self.column = 0;
            self.down(1);
        }
        let line = &mut self.lines[self.row].characters;
        while line.len() <= self.column {
            line.push(' ');
        }
        line[self.column] = character;
        self.column += 1;
    }

    fn obey(&mut self, order: char, parameters: &str) {
        let number = parameters.parse().unwrap_or(1_usize);
        match order {
            'A' => {
                self.keep_state();
                self.row = self.row.saturating_sub(number);
            }
            'B' => self.down(number),
            'C' => self.column += number,
            'D' => self.column = self.column.saturating_sub(number),
            'G' => self.column = number - 1,
            'K' => {
                self.keep_state();
                let kept = if parameters == "2" { 0 } else { self.column };
                self.lines[self.row].characters.truncate(kept);
                self.lines[self.row].is_wrapped = false;
            }
            'J' => {
                self.keep_state();
                self.lines[self.row].characters.truncate(self.column);
                self.lines.truncate(self.row + 1);
            }
            // Colours, and whether the cursor is seen.
            'm' | 'h' | 'l' => {}
            order => panic!("the order {order:?} is not known"),
        }
    }

    fn keep_state(&mut self) {
        let text = self.text();
        if self.states.last() != Some(&text) {
            self.states.push(text);
        }
    }
}

/// Starts the binary in a terminal of 80 columns and 24 rows; what is written to its input is typed.
pub fn start(site: &Site, data: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
    let direct = site.command(data, arguments);
    let quoted = |text: &std::ffi::OsStr| {
        let text = text.to_str().unwrap();
        format!("'{}'", text.replace('\'', "'\\''"))
    };
    let mut line = format!(
        "stty cols {COLUMNS} rows 24; exec {}",
        quoted(direct.get_program())
    );
    for argument in direct.get_args() {
        line.push(' ');
        line.push_str(&quoted(argument));
    }
    let mut command = Command::new("script");
    command.args([
        "--quiet",
        "--return",
        "--flush",
        "--command",
        &line,
        "/dev/null",
    ]);
    for (name, value) in direct.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("TERM", "xterm").env_remove("RUST_LOG");
    command.envs(variables.iter().copied());
    command.current_dir(direct.get_current_dir().unwrap());
    command.stdin(Stdio::piped());
    Running::start_with_input(command)
}

#[test]
fn a_screen_shows_what_is_left() {
    let screen = Screen::of("one\r\ntwo\r\n\u{1b}[2A\u{1b}[2Konly\r\n\u{1b}[J");
    assert_eq!(screen.lines(), ["only"]);
    assert!(screen.states.iter().any(|state| state == "one\ntwo"));
    let long = Screen::of(&"x".repeat(81));
    assert_eq!((long.lines().len(), long.wrapped().len()), (2, 1));
    assert!(Screen::of(&"x".repeat(80)).wrapped().is_empty());
}
