//! Plugins that do wrong, in C, where every wrong is possible: the host and the neighbours of each go on.

mod calling;
mod compiler;
mod describing;
mod ending;
mod house;
mod loading;
mod pipes;
