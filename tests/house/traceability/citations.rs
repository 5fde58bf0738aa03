//! What comments say of the rules: which ones they cite, and in which words they quote them.
//!
//! A rule is cited by its name: "rule" or "rules", then one or more of them. Where a colon follows,
//! what stands in double quotes after it, to the end of the paragraph or the next citation, is a
//! quotation, and must be the rule's own words.

/// A rule of `src/spec.md`.
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) words: String,
}

/// A rule named in a comment.
pub(crate) struct Citation {
    pub(crate) rule: String,
    /// Counted from one.
    pub(crate) line: usize,
    /// The last line of its paragraph, counted from one.
    pub(crate) end: usize,
    pub(crate) voice: Voice,
    /// The sentence that it stands in.
    pub(crate) sentence: String,
    pub(crate) quotations: Vec<Quotation>,
}

/// Words that a comment says are a rule's.
pub(crate) struct Quotation {
    pub(crate) words: String,
    pub(crate) line: usize,
    /// Whether the closing quote is there.
    closed: bool,
}

/// Of what a comment speaks.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Voice {
    /// `//!`: of all that it stands in.
    Whole,
    /// Of the line on which it stands.
    Beside,
    /// Of what follows, or of what it stands in.
    Before,
}

/// The rules, by the bold names that begin them.
pub(crate) fn rules(spec: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut open = false;
    for line in spec.lines() {
        let begun = line.strip_prefix("- **").and_then(|rest| rest.split_once("** "));
        if let Some((name, words)) = begun {
            rules.push(Rule { name: name.into(), words: words.into() });
            open = true;
        } else if let (Some(more), Some(rule), true) =
            (line.strip_prefix("  "), rules.last_mut(), open)
        {
            rule.words.push(' ');
            rule.words.push_str(more.trim());
        } else {
            open = false;
        }
    }
    rules
}

/// Every rule that the comments of a file name.
pub(crate) fn citations(text: &str) -> Vec<Citation> {
    paragraphs(text).iter().flat_map(Paragraph::citations).collect()
}

impl Quotation {
    /// What is wrong with it, if it is said to be of `rule`.
    pub(crate) fn fault(&self, rule: &Rule) -> Option<&'static str> {
        let (quoted, actual) = (folded(&self.words), folded(&rule.words));
        if !self.closed {
            Some("a quotation has no end")
        } else if quoted.split(' ').count() < 3 {
            Some("a quotation of less than three words shows nothing")
        } else if !stands_in(&quoted, &actual) {
            Some("the rule does not say so")
        } else {
            None
        }
    }
}

/// Without what Markdown and line breaks add to the words.
pub(crate) fn folded(text: &str) -> String {
    let bare = text.replace(['*', '`', '\\', '[', ']'], "");
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether `words` are a part of `text`, from the beginning of a word to the end of one.
fn stands_in(words: &str, text: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + words.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

/// Comment lines that belong together, as one line.
struct Paragraph {
    text: String,
    voice: Voice,
    /// Where in `text` each line begins, and its number.
    lines: Vec<(usize, usize)>,
}

fn paragraphs(text: &str) -> Vec<Paragraph> {
    let mut found: Vec<Paragraph> = Vec::new();
    let mut open = None;
    for (index, line) in text.lines().enumerate() {
        let Some((marker, voice, comment)) = comment(line) else {
            open = None;
            continue;
        };
        let begins_anew = comment.starts_with("- ") || comment.starts_with('|');
        let last = found.last_mut().filter(|_| open == Some(marker) && !begins_anew);
        match last {
            _ if comment.is_empty() => open = None,
            Some(paragraph) => {
                paragraph.text.push(' ');
                paragraph.lines.push((paragraph.text.len(), index + 1));
                paragraph.text.push_str(comment);
            }
            None => {
                open = Some(marker).filter(|_| voice != Voice::Beside);
                found.push(Paragraph { text: comment.into(), voice, lines: vec![(0, index + 1)] });
            }
        }
    }
    found
}

/// The comment of a line, by what begins it. Also those of Promela, `/* so */`.
fn comment(line: &str) -> Option<(&'static str, Voice, &str)> {
    let trimmed = line.trim();
    for (marker, voice) in [
        ("//!", Voice::Whole),
        ("///", Voice::Before),
        ("//", Voice::Before),
        ("/*", Voice::Before),
        ("* ", Voice::Before),
    ] {
        if let Some(rest) = trimmed.strip_prefix(marker) {
            return Some((marker, voice, rest.trim_end_matches("*/").trim()));
        }
    }
    let (_, rest) = line.split_once(" // ")?;
    Some(("//", Voice::Beside, rest.trim()))
}

impl Paragraph {
    fn citations(&self) -> Vec<Citation> {
        let mut found: Vec<Citation> = Vec::new();
        // Whose words are quoted.
        let mut quoted = false;
        let mut at = 0;
        while let Some(rest) = self.text.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(words) = rest.strip_prefix('"') {
                let end = words.find('"');
                let (closed, line) = (end.is_some(), self.line(at));
                let words = &words[..end.unwrap_or(words.len())];
                at += if closed { words.len() + 2 } else { 1 };
                if let Some(citation) = found.last_mut().filter(|_| quoted) {
                    citation.quotations.push(Quotation { words: words.into(), line, closed });
                    quoted = closed;
                }
            } else if let Some(names) = self.names(at) {
                for (place, name) in &names {
                    found.push(self.citation(*place, name));
                }
                at = names.last().map_or(at, |(place, name)| place + name.len());
                quoted = self.text[at..].starts_with(':');
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        found
    }

    /// The names of a citation that begins here, and where they stand.
    fn names(&self, at: usize) -> Option<Vec<(usize, &str)>> {
        let before = self.text[..at].chars().next_back();
        let word = self.text.get(at..at + 4).filter(|word| word.eq_ignore_ascii_case("rule"));
        if before.is_some_and(char::is_alphanumeric) || word.is_none() {
            return None;
        }
        let mut names: Vec<(usize, &str)> = Vec::new();
        let mut at = at + 4;
        loop {
            let between: &[&str] =
                if names.is_empty() { &["s ", " "] } else { &[", and ", ", ", " and "] };
            let rest = &self.text[at..];
            let next = between
                .iter()
                .find_map(|between| Some((between.len(), name(rest.strip_prefix(between)?)?)));
            let Some((skipped, name)) = next else { break };
            names.push((at + skipped, name));
            at += skipped + name.len();
        }
        (!names.is_empty()).then_some(names)
    }

    fn citation(&self, at: usize, name: &str) -> Citation {
        let start = self.text[..at].rfind(". ").map_or(0, |stop| stop + 2);
        let end = self.text[at..].find(". ").map_or(self.text.len(), |stop| at + stop);
        Citation {
            rule: name.into(),
            line: self.line(at),
            end: self.line(self.text.len()),
            voice: self.voice,
            sentence: self.text[start..end].trim().into(),
            quotations: Vec::new(),
        }
    }

    fn line(&self, at: usize) -> usize {
        let begun = self.lines.iter().take_while(|(start, _)| *start <= at);
        begun.last().map_or(0, |(_, line)| *line)
    }
}

/// The name of a rule, where the text begins with one: a capital letter and digits.
fn name(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (letter, digits) = text[..end].split_at_checked(1)?;
    let fits = letter.chars().all(|letter| letter.is_ascii_uppercase())
        && !digits.is_empty()
        && digits.chars().all(|digit| digit.is_ascii_digit());
    fits.then_some(&text[..end])
}
