// Package past reads the archive: it brings one account of one group back as it was
// at a second, in a store of its own on this node's disk, by replaying what the
// archive has of it through the same state machine that serves mail.
//
// It owns which image and which segments that takes, and that they have no gap
// between them; and where the bodies of that time lie. It changes nothing that
// serves, decides nothing about what is restored, and opens no message.
package past
