module lakehouse/sdk/go

go 1.24
