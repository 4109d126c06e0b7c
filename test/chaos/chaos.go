// Package chaos kills real processes while they serve and checks what they
// promised against what is there afterwards. It owns the load, the ledger of
// answers and the checks; it never looks inside a node.
package chaos
