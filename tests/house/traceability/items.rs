//! Of which item a comment speaks: by indentation, which `rustfmt` sees to.

use super::citations::{Citation, Voice};

/// An item, and what tests need to know of it.
#[derive(Default)]
pub(crate) struct Item {
    /// Such as `Lifecycle::poll_timeout`; empty for the file as a whole.
    pub(crate) path: String,
    pub(crate) is_test: bool,
    pub(crate) of_proptest: bool,
}

/// The item that a citation is about.
pub(crate) fn item_of(text: &str, citation: &Citation) -> Item {
    if citation.voice == Voice::Whole {
        return Item::default();
    }
    let lines: Vec<_> = text.lines().collect();
    let here = citation.line - 1;
    let next = match citation.voice {
        Voice::Whole | Voice::Beside => None,
        Voice::Before => described(&lines, citation.end),
    };
    let mut headers = around(&lines, here);
    headers.extend(next);
    let path: Vec<_> = headers.iter().filter_map(|index| header(lines[*index])).collect();
    Item {
        path: path.join("::"),
        is_test: headers.iter().any(|index| is_test(&lines, *index)),
        of_proptest: within_proptest(&lines, here),
    }
}

/// The header of the item that begins right after the comment, if one does.
fn described(lines: &[&str], after: usize) -> Option<usize> {
    let mut within_attribute = false;
    for (index, line) in lines.iter().enumerate().skip(after) {
        let line = line.trim();
        if within_attribute || line.starts_with("#[") {
            within_attribute = !line.ends_with(']');
        } else if !line.starts_with("//") {
            return header(line).map(|_| index);
        }
    }
    None
}

/// The headers of all items around a line, the outermost first.
fn around(lines: &[&str], index: usize) -> Vec<usize> {
    let mut headers = Vec::new();
    let mut depth = indentation(lines[index]);
    for (index, line) in lines[..index].iter().enumerate().rev() {
        let code = line.trim();
        if code.is_empty() || code.starts_with("//") || indentation(line) >= depth {
            continue;
        }
        // The end of a header that is longer than a line; its beginning is as deep.
        let continues = code.starts_with([')', '}', ']', '>', '{']) || code.starts_with("where");
        depth = indentation(line) + usize::from(continues);
        if header(code).is_some() {
            headers.push(index);
        }
    }
    headers.reverse();
    headers
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn within_proptest(lines: &[&str], index: usize) -> bool {
    let outermost = lines[..index]
        .iter()
        .rev()
        .find(|line| indentation(line) == 0 && !line.is_empty() && !line.starts_with("//"));
    indentation(lines[index]) > 0 && outermost.is_some_and(|line| line.starts_with("proptest!"))
}

/// Whether a header is a test's, or of a scenario that `on_every_adapter!` makes tests of.
fn is_test(lines: &[&str], header: usize) -> bool {
    lines[header].contains("(on: Adapter)") || has_test_attribute(&lines[..header])
}

/// Whether what stands right before a header makes it a test.
fn has_test_attribute(before: &[&str]) -> bool {
    let attributes = before.iter().rev().map(|line| line.trim());
    attributes.take_while(|line| line.starts_with("#[") || line.starts_with("//")).any(|line| {
        line.strip_suffix(']').is_some_and(|line| line.ends_with("test")) || line.contains("test(")
    })
}

/// The name that a line gives to an item, where it begins one.
fn header(line: &str) -> Option<String> {
    let mut rest = line.trim();
    if let Some(public) = rest.strip_prefix("pub") {
        let scoped = public.strip_prefix('(').and_then(|scope| scope.split_once(')'));
        rest = scoped.map_or(public, |(_, rest)| rest).trim_start();
    }
    if rest.starts_with("impl") {
        return implemented(rest);
    }
    for quality in ["const ", "async ", "unsafe ", "extern \"C\" "] {
        if rest.contains("fn ") {
            rest = rest.strip_prefix(quality).unwrap_or(rest);
        }
    }
    let kinds =
        ["fn ", "struct ", "enum ", "trait ", "union ", "mod ", "const ", "static ", "type "];
    // Promela's.
    let others = ["ltl ", "proctype ", "active proctype ", "inline "];
    let named = kinds.iter().chain(&others).find_map(|kind| rest.strip_prefix(kind))?;
    let end = named.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(named.len());
    (end > 0).then(|| named[..end].to_owned())
}

/// The type of an `impl`.
fn implemented(line: &str) -> Option<String> {
    let mut depth = 0_usize;
    let mut bare = String::new();
    for letter in line.replace("->", "").chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => bare.push(letter),
            _ => {}
        }
    }
    let of = bare.strip_prefix("impl ").map(str::trim_start)?;
    let of = of.split_once(" for ").map_or(of, |(_, of)| of);
    let of = of.split_once(" where").map_or(of, |(of, _)| of).trim_end_matches(['{', '}', ' ']);
    Some(of.trim().rsplit("::").next().unwrap_or(of).to_owned())
}
