//! z3, on a pipe, for as long as the proof takes: what is assumed is pushed and popped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use perennial::time::{Span, Timestamp};

use super::encode::Encoding;
use super::term::{Arena, Comparison, Place, Question, Sort, Term, parts};
use super::value::{Model, Value};

/// A comparison and whether it is taken to hold.
pub type Assumption = (Question, bool);

#[derive(Debug)]
pub struct Solver {
    encoding: Encoding,
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What is not yet written.
    pending: String,
    defined: Vec<bool>,
    variables: Vec<Place>,
    assumed: Vec<Assumption>,
}

impl Solver {
    pub fn start(encoding: Encoding) -> Self {
        let mut process = Command::new("z3")
            .args(["-smt2", "-in"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("z3 is installed: apt-get install z3");
        let input = process.stdin.take().expect("its input is piped");
        let output = BufReader::new(process.stdout.take().expect("its output is piped"));
        // Declarations stay when assumptions are popped.
        let pending =
            format!("(set-option :global-declarations true)\n(set-logic {})\n", encoding.logic());
        Self {
            encoding,
            process,
            input,
            output,
            pending,
            defined: Vec::new(),
            variables: Vec::new(),
            assumed: Vec::new(),
        }
    }

    /// Whether `asked` can be, where `assumed` is.
    pub fn is_possible(
        &mut self,
        arena: &Arena,
        assumed: &[Assumption],
        asked: Assumption,
    ) -> bool {
        self.assume(arena, assumed);
        self.define_all(arena, asked.0);
        self.pending += "(push)\n";
        self.assert(arena, asked);
        self.pending += "(check-sat)\n";
        match self.answer().as_str() {
            "sat" => true,
            "unsat" => false,
            other => panic!("{:?} answers {other}", self.encoding),
        }
    }

    /// The numbers by which the last question was answered with yes; and forgets that question.
    pub fn model(&mut self, arena: &Arena) -> Model {
        let mut given = Vec::new();
        if !self.variables.is_empty() {
            self.pending += "(get-value (";
            for variable in &self.variables {
                self.pending += &format!("t{variable} ");
            }
            self.pending += "))\n";
            let mut text = self.answer();
            let balance = |text: &str| {
                text.matches('(').count().abs_diff(text.matches(')').count())
            };
            while balance(&text) > 0 {
                text += " ";
                text += &self.line();
            }
            let words: Vec<&str> = text
                .split(|letter: char| letter.is_whitespace() || "()".contains(letter))
                .filter(|word| !word.is_empty())
                .collect();
            let mut words = words.into_iter().peekable();
            while let Some(name) = words.next() {
                let place = name[1..].parse().expect("a term's name");
                let minus = words.next_if_eq(&"-").is_some();
                let word = words.next().expect("a number after its name");
                let sort = arena.sort(place);
                given.push((place, value(sort, number(sort, word, minus))));
            }
        }
        self.forget();
        Model::new(given)
    }

    /// Forgets the last question.
    pub fn forget(&mut self) {
        self.pending += "(pop)\n";
    }

    fn assume(&mut self, arena: &Arena, assumed: &[Assumption]) {
        let common =
            self.assumed.iter().zip(assumed).take_while(|(has, wants)| has == wants).count();
        self.pop_to(common);
        for &assumption in &assumed[common..] {
            self.define_all(arena, assumption.0);
            self.push(arena, assumption);
        }
    }

    fn push(&mut self, arena: &Arena, assumption: Assumption) {
        self.pending += "(push)\n";
        self.assert(arena, assumption);
        self.assumed.push(assumption);
    }

    fn pop_to(&mut self, height: usize) {
        let surplus = self.assumed.len() - height;
        if surplus > 0 {
            self.pending += &format!("(pop {surplus})\n");
            self.assumed.truncate(height);
        }
    }

    fn assert(&mut self, arena: &Arena, (question, holds): Assumption) {
        let comparison = self.encoding.compare(arena, arena.comparison(question));
        if holds {
            self.pending += &format!("(assert {comparison})\n");
        } else {
            self.pending += &format!("(assert (not {comparison}))\n");
        }
    }

    fn define_all(&mut self, arena: &Arena, question: Question) {
        let (Comparison::Less(one, other) | Comparison::Equal(one, other)) =
            arena.comparison(question);
        self.define(arena, one);
        self.define(arena, other);
    }

    fn define(&mut self, arena: &Arena, place: Place) {
        let index = place as usize;
        if self.defined.len() <= index {
            self.defined.resize(arena.len(), false);
        }
        if self.defined[index] {
            return;
        }
        for part in parts(arena.at(place)) {
            self.define(arena, part);
        }
        self.defined[index] = true;
        let definition = self.encoding.define(arena, place);
        self.pending += &definition.declared;
        if !definition.always.is_empty() {
            // What holds always is asserted beneath every assumption.
            let assumed = std::mem::take(&mut self.assumed);
            if !assumed.is_empty() {
                self.pending += &format!("(pop {})\n", assumed.len());
            }
            self.pending += &definition.always;
            for assumption in assumed {
                self.push(arena, assumption);
            }
        }
        if matches!(arena.at(place), Term::Variable(..) | Term::Share(..)) {
            self.variables.push(place);
        }
    }

    fn answer(&mut self) -> String {
        if let Ok(path) = std::env::var("PROOF_LOG") {
            use std::io::Write as _;
            let mut f = std::fs::OpenOptions::new().create(true).append(true).open(format!("{path}.{:?}", self.encoding)).unwrap();
            f.write_all(self.pending.as_bytes()).unwrap();
        }
        self.input.write_all(self.pending.as_bytes()).expect("z3 is listening");
        self.input.flush().expect("z3 is listening");
        self.pending.clear();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("z3 answers");
        line.trim().to_owned()
    }
}

impl Drop for Solver {
    fn drop(&mut self) {
        // It holds nothing that is worth an orderly end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads a number: in decimal from integers, in sixteen digits from vectors.
fn number(sort: Sort, word: &str, minus: bool) -> i128 {
    match (word.strip_prefix("#x"), sort) {
        (Some(digits), sort) => {
            let bits = u64::from_str_radix(digits, 16).expect("hexadecimal digits");
            match sort {
                Sort::Instant => bits.cast_signed().into(),
                Sort::Span => bits.into(),
            }
        }
        (None, _) => {
            let number: i128 = word.parse().expect("decimal digits");
            if minus { -number } else { number }
        }
    }
}

fn value(sort: Sort, number: i128) -> Value {
    match sort {
        Sort::Instant => Value::Instant(Timestamp::from_millis(
            i64::try_from(number).expect("an instant of 64 bits"),
        )),
        Sort::Span => {
            Value::Span(Span::from_millis(u64::try_from(number).expect("a span of 64 bits")))
        }
    }
}
