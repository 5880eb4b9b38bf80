// Command counterfoil issues, checks and ends HTTP sessions in front of any application.
//
//	counterfoil serve --dev
//
// `counterfoil --help` shows the rest.
package main

import (
	"context"
	"os"

	"github.com/counterfoil/counterfoil/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), cli.Process{
		Args:   os.Args[1:],
		Env:    os.Environ(),
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
	}))
}
