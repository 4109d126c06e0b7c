// Package keys owns the keys that mail is encrypted with: the tenant's, those
// of accounts and those of messages. It makes them, wraps each under the one
// above it, and reads and writes the file of the tenant's keyring.
//
// It never stores a wrapped key, encrypts no mail itself, and no way of printing
// a key shows it.
package keys
