// Package interop sends real mail through the running product and reads it
// back with real clients. It owns the clients' configurations and what
// "byte for byte" means; it never reaches into the product's packages.
package interop
