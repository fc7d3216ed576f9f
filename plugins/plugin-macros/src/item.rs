//! One annotated function: what it takes, and the closure that calls it.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::quote;
use syn::{Error, FnArg, ImplItemFn, Result, Type, TypeReference};

/// What an annotated function takes.
pub(crate) struct Signature {
    takes_context: bool,
    arguments: Option<Type>,
    is_async: bool,
}

impl Signature {
    pub(crate) fn of(function: &ImplItemFn) -> Result<Self> {
        let inputs = &function.sig.inputs;
        let mut inputs = inputs.iter();
        match inputs.next() {
            Some(FnArg::Receiver(receiver))
                if matches!(receiver.kind, syn::ReceiverKind::Reference(_, _, None)) => {}
            _ => {
                return Err(Error::new_spanned(
                    &function.sig,
                    "the first parameter must be `&self`",
                ));
            }
        }
        let mut signature = Self {
            takes_context: false,
            arguments: None,
            is_async: function.sig.asyncness.is_some(),
        };
        for input in inputs {
            let FnArg::Typed(input) = input else { continue };
            if is_context(&input.ty) && !signature.takes_context && signature.arguments.is_none() {
                signature.takes_context = true;
            } else if signature.arguments.is_none() {
                signature.arguments = Some((*input.ty).clone());
            } else {
                return Err(Error::new_spanned(
                    input,
                    "expected `&self`, then `&Context`, then one struct of arguments",
                ));
            }
        }
        Ok(signature)
    }

    pub(crate) const fn is_async(&self) -> bool {
        self.is_async
    }

    /// The type of the arguments, with `'static` for its lifetimes: what its schema is made from.
    pub(crate) fn arguments(&self) -> Option<TokenStream> {
        self.arguments.as_ref().map(|arguments| with_lifetime(arguments, "static"))
    }

    /// A `Handler` that calls `function`.
    pub(crate) fn handler(&self, function: &Ident, is_nonblocking: bool) -> TokenStream {
        self.handler_after(function, is_nonblocking, &TokenStream::new())
    }

    /// The same for a resource whose MIME type is known beforehand.
    pub(crate) fn handler_with_mime(
        &self,
        function: &Ident,
        mime: Option<&syn::LitStr>,
    ) -> TokenStream {
        let before = mime.map(|mime| quote!(output.set_mime(#mime);)).unwrap_or_default();
        self.handler_after(function, false, &before)
    }

    fn handler_after(
        &self,
        function: &Ident,
        is_nonblocking: bool,
        before: &TokenStream,
    ) -> TokenStream {
        let context = self.takes_context.then(|| quote!(context,));
        let read = self.arguments.as_ref().map(|arguments| {
            let arguments = with_lifetime(arguments, "_");
            quote!(let arguments: #arguments = ::plugin_sdk::expansion::arguments(params)?;)
        });
        let arguments = self.arguments.as_ref().map(|_| quote!(arguments,));
        if self.is_async {
            return quote! {
                ::plugin_sdk::Handler::Async(|author, context, params, mut output| ::std::boxed::Box::pin(async move {
                    let result = async {
                        let (context, params) = (&context, params.as_str());
                        let _ = (context, params);
                        #before
                        #read
                        let result = Self::#function(&author, #context #arguments).await?;
                        ::plugin_sdk::IntoOutput::write(result, &mut output)
                    }
                    .await;
                    ::plugin_sdk::expansion::settle(&context, result, output)
                }))
            };
        }
        let kind = if is_nonblocking { quote!(Nonblocking) } else { quote!(Blocking) };
        quote! {
            ::plugin_sdk::Handler::#kind(|author, context, params, output| {
                let _ = (context, params);
                #before
                #read
                ::plugin_sdk::IntoOutput::write(Self::#function(author, #context #arguments)?, output)
            })
        }
    }
}

fn is_context(ty: &Type) -> bool {
    let Type::Reference(TypeReference { elem, .. }) = ty else {
        return false;
    };
    let Type::Path(path) = &**elem else {
        return false;
    };
    path.path.segments.last().is_some_and(|segment| segment.ident == "Context")
}

/// The type with every lifetime replaced: those that a function declares mean nothing outside of it.
fn with_lifetime(ty: &Type, name: &str) -> TokenStream {
    fn replace(tokens: TokenStream, name: &str) -> TokenStream {
        let mut after_quote = false;
        tokens
            .into_iter()
            .map(|token| match token {
                TokenTree::Ident(ident) if std::mem::take(&mut after_quote) => {
                    TokenTree::Ident(Ident::new(name, ident.span()))
                }
                TokenTree::Group(group) => {
                    TokenTree::Group(Group::new(group.delimiter(), replace(group.stream(), name)))
                }
                other => {
                    after_quote =
                        matches!(&other, TokenTree::Punct(punct) if punct.as_char() == '\'');
                    other
                }
            })
            .collect()
    }
    replace(quote!(#ty), name)
}
