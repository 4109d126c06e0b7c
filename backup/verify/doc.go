// Package verify reads an archive back and says whether what it promises can be brought
// back: that every object that a retained time needs opens and is what was written
// there, that segments join without a gap, and that bodies are there and are those of
// their messages.
//
// It owns what counts as a fault, and which span of time is lost by it. It changes
// nothing, neither in the archive nor in what serves; it hands no message to anybody,
// and decides nothing about how long the archive is kept.
package verify
