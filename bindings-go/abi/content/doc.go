// Package content is the basic content types: domain 0, version 1 of each.
package content
