//! The C contract between the appliance and a plugin.
