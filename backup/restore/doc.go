// Package restore brings what an account was back into an account that serves: it
// compares the two, says what would change, and has the account's group agree on it
// in commands that may be repeated.
//
// It owns what is missing and what is too much, in which order it is filed, and where
// each body comes from: another copy in the account, its pack, or the archive.
// Messages get new UIDs; everything else that a client can tell of them comes back.
// It never delivers, judges or sends, reads no archive (package past does), and
// decides nothing about who may ask for it.
package restore
