// Package couriers is a node's mail to other systems: it makes the couriers of
// package outbound from the settings in force, knows which couriers on other nodes
// are no more, and lets operators see and steer the queue of all groups.
//
// It never decides what is accepted, and keeps nothing itself.
package couriers
