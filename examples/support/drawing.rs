//! What the pictures of the examples have in common.

use std::io;
use std::path::PathBuf;

use plotters::coord::Shift;
use plotters::prelude::*;

type Result<T> = std::result::Result<T, DrawingAreaErrorKind<io::Error>>;
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(crate) const FONT: &str = "sans-serif";

/// Draws the title of a whole picture.
pub(crate) fn title(area: &Area<'_>, text: String) -> Result<()> {
    area.draw(&Text::new(text, (20, 14), (FONT, 26).into_font()))
}

/// Draws a row of names, each after a bar of its colour and of this height. Returns where the row ends.
pub(crate) fn legend(
    area: &Area<'_>,
    top: i32,
    height: i32,
    names: &[(RGBColor, &str)],
) -> Result<i32> {
    let mut x = 20;
    for (color, name) in names {
        let bar = [(x, top + (16 - height) / 2), (x + 22, top + (16 + height) / 2)];
        area.draw(&Rectangle::new(bar, color.filled()))?;
        area.draw(&Text::new(*name, (x + 28, top), (FONT, 15).into_font()))?;
        x += 60 + 8 * i32::try_from(name.len()).expect("names are short");
    }
    Ok(x)
}

/// Returns the path of a picture in the target directory, which exists then.
pub(crate) fn in_target(name: &str) -> io::Result<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join(name))
}
