// Package keyring holds the keys of an installation.
package keyring
