// Package keyring owns the keys that everything stored is encrypted under: the
// tenant keys, by which the keys of accounts are wrapped, and the settings key,
// by which secrets in the settings are sealed and gossip is encrypted; and the
// keys of the cluster's CA, with how one CA follows another.
//
// Rings are the versions that this node holds, kept up with what the system
// group has agreed on; the Service brings new versions into use, destroys old
// ones on every node or on none, wraps the keys of accounts anew, and erases
// accounts by giving their keys up. The package never opens a message, and it
// never decides that an account is erased or a key is rotated: operators do,
// and the settings key follows the removal of a node.
package keyring
