//! The only room where time passes: generations, the switch, changes, drain.
