# BIC of mclust's fourteen families, one to nine components, for Old Faithful and iris.
#
#     Rscript mclust_grid14.R ../data/faithful.csv > mclust_grid14.json
#
# mclust's sign: 2 logL - df log n. EM from its hierarchical start, run to a relative change of
# 1e-10. null: no fit.

suppressMessages(library(mclust))

grid <- function(X) {
  control <- emControl(tol = c(1e-10, 1e-12), itmax = c(10000, 1000))
  bic <- unclass(mclustBIC(X, G = 1:9, verbose = FALSE, control = control))
  rows <- apply(bic[, ], 1, function(row) {
    cells <- ifelse(is.na(row), "null", sprintf("%.6f", row))
    paste0("[", paste(cells, collapse = ", "), "]")
  })
  models <- paste0("\"", colnames(bic), "\"", collapse = ", ")
  sprintf("{\"models\": [%s],\n  \"bic\": [%s]}", models, paste(rows, collapse = ",\n    "))
}

faithful_rows <- read.csv(commandArgs(trailingOnly = TRUE)[1])
faithful_rows <- as.matrix(faithful_rows[, (ncol(faithful_rows) - 1):ncol(faithful_rows)])
cat(sprintf("{\"source\": \"mclust %s, %s; mclust_grid14.R\",\n", packageVersion("mclust"), R.version.string))
cat(sprintf(" \"faithful\": %s,\n", grid(faithful_rows)))
cat(sprintf(" \"iris\": %s}\n", grid(as.matrix(iris[, 1:4]))))
