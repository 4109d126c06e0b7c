// Package inforce is the cluster's settings as this node works by them.
//
// It reads them from the system group and writes them there, with secrets
// sealed; it checks them by what this machine can reach, says which are in force
// and why not the stored ones, and keeps the last that could be used for a start
// with worse ones. What a setting does is decided by who asks for it, and what
// has to be opened anew by the function that puts settings into force.
package inforce
