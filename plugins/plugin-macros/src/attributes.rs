//! Reads the arguments of attributes.

use proc_macro2::TokenStream;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Expr, ExprLit, Lit, LitStr, Meta, Result, Token};

/// Arguments such as `id = "x", read_only, "uri"`.
#[derive(Default)]
pub(crate) struct Arguments {
    /// The first argument, when it is a text.
    pub(crate) text: Option<LitStr>,
    named: Vec<(String, Option<Expr>, proc_macro2::Span)>,
}

impl Arguments {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut arguments = Self::default();
        let parser = Punctuated::<Expr, Token![,]>::parse_terminated;
        for expr in parser.parse2(tokens)? {
            match expr {
                Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if arguments.text.is_none() => {
                    arguments.text = Some(text);
                }
                Expr::Assign(assign) => {
                    let (name, span) = path_name(&assign.left)?;
                    arguments.named.push((name, Some(*assign.right), span));
                }
                other => {
                    let (name, span) = path_name(&other)?;
                    arguments.named.push((name, None, span));
                }
            }
        }
        Ok(arguments)
    }

    pub(crate) fn of(attribute: &Attribute) -> Result<Self> {
        match &attribute.meta {
            Meta::Path(_) => Ok(Self::default()),
            Meta::List(list) => Self::parse(list.tokens.clone()),
            Meta::NameValue(other) => {
                Err(Error::new_spanned(other, "write the arguments in parentheses"))
            }
        }
    }

    /// Takes `name = expr`.
    pub(crate) fn take(&mut self, name: &str) -> Option<Expr> {
        let at =
            self.named.iter().position(|(found, value, _)| found == name && value.is_some())?;
        self.named.remove(at).1
    }

    /// Takes `name = "text"`.
    pub(crate) fn take_text(&mut self, name: &str) -> Result<Option<LitStr>> {
        match self.take(name) {
            None => Ok(None),
            Some(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => Ok(Some(text)),
            Some(other) => {
                Err(Error::new_spanned(other, format!("`{name}` must be a text in quotes")))
            }
        }
    }

    /// Takes the flag `name`, or `name = true|false`.
    pub(crate) fn take_flag(&mut self, name: &str) -> Result<Option<bool>> {
        if let Some(at) =
            self.named.iter().position(|(found, value, _)| found == name && value.is_none())
        {
            self.named.remove(at);
            return Ok(Some(true));
        }
        match self.take(name) {
            None => Ok(None),
            Some(Expr::Lit(ExprLit { lit: Lit::Bool(value), .. })) => Ok(Some(value.value)),
            Some(other) => {
                Err(Error::new_spanned(other, format!("`{name}` must be true or false")))
            }
        }
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self, known: &str) -> Result<()> {
        match self.named.into_iter().next() {
            None => Ok(()),
            Some((name, _, span)) => {
                Err(Error::new(span, format!("unknown argument `{name}`; known: {known}")))
            }
        }
    }
}

fn path_name(expr: &Expr) -> Result<(String, proc_macro2::Span)> {
    match expr {
        Expr::Path(path) => match path.path.get_ident() {
            Some(ident) => Ok((ident.to_string(), ident.span())),
            None => Err(Error::new_spanned(path, "expected a name")),
        },
        other => Err(Error::new_spanned(other, "expected a name, `name = value` or a text")),
    }
}

/// The doc comment, its lines joined.
pub(crate) fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter(|attribute| attribute.path().is_ident("doc")).filter_map(
        |attribute| match &attribute.meta {
            Meta::NameValue(value) => match &value.value {
                Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
                _ => None,
            },
            Meta::Path(_) | Meta::List(_) => None,
        },
    );
    let text: Vec<_> = lines.map(|line| line.trim().to_owned()).collect();
    text.join("\n").trim().to_owned()
}
