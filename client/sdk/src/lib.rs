//! Client of a Holdfast cluster.
