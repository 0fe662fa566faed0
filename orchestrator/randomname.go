package orchestrator

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// randomName makes up a container's name, as "quiet_noether". After some
// names that were taken it gets a number.
func randomName(try int) string {
	name := pick(adjectives) + "_" + pick(surnames)
	if try > 2 {
		name += fmt.Sprint(rand.IntN(10 * try))
	}
	return name
}

func pick(words string) string {
	list := strings.Fields(words)
	return list[rand.IntN(len(list))]
}

const adjectives = `able amber ample brave breezy bright brisk calm candid
careful cheerful clever cosy curious dapper daring eager early earnest easy
fair famous fearless fluent frank fresh friendly gentle glad golden graceful
happy hardy honest hopeful humble jolly keen kind lively loyal lucid lucky
mellow merry mighty modest neat nimble noble patient peaceful placid polite
proud quick quiet rapid ready robust serene sharp silent sincere smooth
snappy sober spry steady stout sunny swift tender tidy tranquil trusty upbeat
vivid warm wise witty zesty`

const surnames = `abel ampere archimedes avogadro babbage banach bell bernoulli
bohr boole born boyle brahe cantor carson cauchy celsius chandra chebyshev
copernicus coulomb curie darwin descartes dijkstra dirac edison einstein euclid
euler faraday fermat fermi feynman fleming fourier franklin galileo galois
gauss germain goedel hamilton hawking heisenberg hertz hilbert hopper hubble
huygens hypatia jacobi joule kepler knuth kovalevskaya lagrange lamarr laplace
leibniz liskov lovelace maxwell meitner mendel mendeleev minkowski napier nash
newton noether ohm pascal pasteur pauli perlman planck poincare ptolemy
ramanujan riemann ritchie rutherford shannon stefan tesla thompson torvalds
turing vega volta watt weyl wiles wright yonath zuse`
