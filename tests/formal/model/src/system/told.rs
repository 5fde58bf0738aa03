//! A run drawn as a sequence diagram, in plain text.

/// Who takes part, in the order of the diagram.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Holder(usize),
    Thief,
    Server,
    Resource,
}

/// What has happened, line by line.
#[derive(Debug, Default)]
pub(crate) struct Told {
    lines: Vec<Line>,
    ticks: u32,
    present: [bool; 5],
}

/// One line of the diagram. Participants are given by their places in [`Who::ALL`].
#[derive(Debug)]
enum Line {
    Later(u32),
    Note(usize, String),
    Arrow { from: usize, to: usize, text: String, arrives: bool },
}

/// What an arrow has beside its text: two spaces, its head, and some of its shaft.
const SHAFT: usize = 10;

impl Who {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Holder(0), "client"),
        (Self::Holder(1), "second client"),
        (Self::Thief, "thief"),
        (Self::Server, "authorization server"),
        (Self::Resource, "resource server"),
    ];

    fn place(self) -> usize {
        Self::ALL.iter().position(|(who, _)| *who == self).expect("all are listed")
    }
}

impl Told {
    fn line(&mut self, line: Line) {
        if self.ticks > 0 {
            self.lines.push(Line::Later(std::mem::take(&mut self.ticks)));
            self.meets(Who::Server);
        }
        self.lines.push(line);
    }

    fn meets(&mut self, who: Who) {
        self.present[who.place()] = true;
    }

    pub(super) fn tick(&mut self) {
        self.ticks += 1;
    }

    pub(super) fn arrow(&mut self, from: Who, to: Who, text: &str, arrives: bool) {
        self.meets(from);
        self.meets(to);
        let (from, to) = (from.place(), to.place());
        self.line(Line::Arrow { from, to, text: text.to_owned(), arrives });
    }

    pub(super) fn note(&mut self, who: Who, text: &str) {
        self.meets(who);
        self.line(Line::Note(who.place(), text.to_owned()));
    }

    /// The diagram: a column for each participant, and time going down.
    pub(super) fn diagram(&self) -> String {
        let columns = self.columns();
        let mut head = Vec::new();
        for (place, (_, name)) in
            Who::ALL.iter().enumerate().filter(|(place, _)| self.present[*place])
        {
            write_at(&mut head, columns[place], name);
        }
        let mut text = format!("```text\n{}\n", head.into_iter().collect::<String>());
        for line in &self.lines {
            text.push_str(self.drawn(line, &columns).trim_end());
            text.push('\n');
        }
        text.push_str("```\n");
        text
    }

    /// Where each participant's column is: far enough apart for what is written between them.
    fn columns(&self) -> [usize; 5] {
        let mut columns = [0_usize; 5];
        let present = (0..5).filter(|place| self.present[*place]);
        let mut last: Option<usize> = None;
        for place in present {
            if let Some(before) = last {
                let name: &str = Who::ALL[before].1;
                let notes = self.lines.iter().filter_map(|line| match line {
                    Line::Note(who, text) if *who == before => {
                        Some(columns[before] + text.len() + 4)
                    }
                    Line::Later(_) | Line::Note(..) | Line::Arrow { .. } => None,
                });
                let arrows = self.lines.iter().filter_map(|line| match line {
                    Line::Arrow { from, to, text, .. } if *from.max(to) == place => {
                        Some(columns[*from.min(to)] + text.len() + SHAFT)
                    }
                    Line::Later(_) | Line::Note(..) | Line::Arrow { .. } => None,
                });
                let column = columns[before] + name.len() + 3;
                columns[place] = notes.chain(arrows).fold(column, usize::max);
            }
            last = Some(place);
        }
        columns
    }

    fn drawn(&self, line: &Line, columns: &[usize; 5]) -> String {
        let mut drawn = Vec::new();
        let lifeline = if matches!(line, Line::Later(_)) { ":" } else { "|" };
        for place in (0..5).filter(|place| self.present[*place]) {
            write_at(&mut drawn, columns[place], lifeline);
        }
        match line {
            Line::Later(ticks) => {
                let plural = if *ticks == 1 { "" } else { "s" };
                write_at(&mut drawn, 2, &format!("{ticks} tick{plural} later"));
            }
            Line::Note(who, text) => write_at(&mut drawn, columns[*who] + 2, text),
            Line::Arrow { from, to, text, arrives } => {
                let (left, right) = (columns[*from.min(to)] + 1, columns[*from.max(to)]);
                write_at(&mut drawn, left, &shaft(from < to, *arrives, text, right - left));
            }
        }
        drawn.into_iter().collect()
    }
}

/// An arrow of this width; one that does not arrive ends short of it.
fn shaft(to_the_right: bool, arrives: bool, text: &str, width: usize) -> String {
    let (head, gap) =
        if arrives { (if to_the_right { ">" } else { "<" }, "") } else { ("x", "  ") };
    let dashes = "-".repeat(width - text.len() - 5 - gap.len());
    if to_the_right {
        format!("-- {text} {dashes}{head}{gap}")
    } else {
        format!("{gap}{head}{dashes} {text} --")
    }
}

fn write_at(line: &mut Vec<char>, column: usize, text: &str) {
    let end = column + text.chars().count();
    if line.len() < end {
        line.resize(end, ' ');
    }
    for (place, written) in line[column..end].iter_mut().zip(text.chars()) {
        *place = written;
    }
}
