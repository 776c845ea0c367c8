//! What a site of pages is: its list of pages, and the input that each page is rendered from.

use crate::input::{PartnerIndex, ReportInput};

/// A set of pages that are written and linked together.
pub(crate) struct Site {
    /// The pages in the order in which they are written and stand in the navigation.
    pub pages: &'static [PageDef],
    /// Whether the pages show figures of a lake. Only then do they say how fresh these are.
    pub has_figures: bool,
}

/// One line of a list of pages: a page, or a family of pages such as one for each partner.
pub(crate) struct PageDef {
    /// The name by which other lines refer to this one.
    pub name: &'static str,
    /// The heading of the page, and the text of its link in the navigation.
    pub title: &'static str,
    /// The file of the page. For a family it is the first file, or the folder of all of them.
    pub file: &'static str,
    pub navigation: Navigation,
    pub render: Render,
}

/// The place of a page in the navigation.
pub(crate) enum Navigation {
    /// The page has a link of its own in the group with this heading.
    Group(&'static str),
    /// The page has no link. The link of its parent, given by name, is marked as current.
    Parent(&'static str),
}

/// The function that renders a page.
pub(crate) enum Render {
    /// Returns the HTML of the one page.
    Single(fn(&PageContext) -> String),
    /// Returns `(path in the folder, HTML)` of every page of a family, one at a time: a report of
    /// many partners never holds all of its pages in memory.
    Family(for<'a> fn(&'a PageContext<'a>) -> RenderedPages<'a>),
}

/// Pages as `(path in the folder, HTML)`, rendered one at a time.
pub(crate) type RenderedPages<'a> = Box<dyn Iterator<Item = (String, String)> + 'a>;

/// What a page is rendered from.
pub(crate) struct PageContext<'a> {
    pub input: &'a ReportInput,
    pub partners: &'a PartnerIndex<'a>,
    pub site: &'static Site,
    pub page: &'static PageDef,
}

/// Returns a line for one page.
pub(crate) const fn single(
    name: &'static str,
    title: &'static str,
    file: &'static str,
    navigation: Navigation,
    render: fn(&PageContext) -> String,
) -> PageDef {
    PageDef { name, title, file, navigation, render: Render::Single(render) }
}

/// Returns a line for a family of pages.
pub(crate) const fn family(
    name: &'static str,
    title: &'static str,
    file: &'static str,
    navigation: Navigation,
    render: for<'a> fn(&'a PageContext<'a>) -> RenderedPages<'a>,
) -> PageDef {
    PageDef { name, title, file, navigation, render: Render::Family(render) }
}

impl Site {
    /// Returns the groups of the navigation, each with its heading and its pages.
    pub(crate) fn navigation(&self) -> Vec<(&'static str, Vec<&'static PageDef>)> {
        let mut groups: Vec<(&'static str, Vec<&'static PageDef>)> = Vec::new();
        for page in self.pages {
            let Navigation::Group(heading) = page.navigation else { continue };
            match groups.last_mut() {
                Some((last, pages)) if *last == heading => pages.push(page),
                _ => groups.push((heading, vec![page])),
            }
        }
        groups
    }

    /// Calls `sink` with `(path in the folder, HTML)` of every page, as soon as it is rendered.
    ///
    /// # Errors
    /// Stops at the first error of `sink` and returns it.
    pub(crate) fn each_page<E>(
        &'static self,
        input: &ReportInput,
        mut sink: impl FnMut(&str, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        let partners = PartnerIndex::new(input);
        for page in self.pages {
            let context = PageContext { input, partners: &partners, site: self, page };
            match page.render {
                Render::Single(render) => sink(page.file, &render(&context))?,
                Render::Family(render) => {
                    for (path, html) in render(&context) {
                        sink(&path, &html)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl PageContext<'_> {
    /// Returns the page whose link in the navigation is the current one: the page itself, or its
    /// parent.
    pub(crate) fn current_link(&self) -> &'static PageDef {
        match self.page.navigation {
            Navigation::Group(_) => self.page,
            Navigation::Parent(name) => {
                let parent = self.site.pages.iter().find(|page| page.name == name);
                parent.unwrap_or(self.page)
            }
        }
    }
}
