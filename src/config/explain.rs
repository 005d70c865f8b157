//! A service in words, and in the long form of the rule language with every default that applies.
