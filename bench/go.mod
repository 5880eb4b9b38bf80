module github.com/counterfoil/counterfoil/bench

go 1.26.0

toolchain go1.27.1

require (
	github.com/alexedwards/scs/v2 v2.9.0
	github.com/counterfoil/counterfoil v0.0.0
	github.com/gorilla/sessions v1.4.0
)

require (
	github.com/gorilla/securecookie v1.1.2 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/counterfoil/counterfoil => ..
