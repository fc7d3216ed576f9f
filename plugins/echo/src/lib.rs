//! Plugin: echo.
