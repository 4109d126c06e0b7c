// Package adminapi is the administration API of a node: what travels over its
// socket, and the client that operators' verbs use. It is a leaf: it knows the
// nouns and the figures of stored packs, never a server, and decides nothing.
package adminapi
