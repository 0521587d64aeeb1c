# What people run most. CONTRIBUTING.md has the rest.

.PHONY: help test lint bench ci

help: ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /	/' | expand -t 8

test: ## run all tests
	go test work

lint: ## check formatting, vet and run golangci-lint
	test -z "$$(git ls-files '*.go' | grep -v /testdata/tree/ | xargs gofmt -l)"
	go vet work
	golangci-lint run ./...

bench: ## measure mp beside its peers
	go -C bench run .

ci: ## everything that a change must pass
	.ci/run
