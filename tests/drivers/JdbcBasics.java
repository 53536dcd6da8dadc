// SPDX-License-Identifier: Apache-2.0
// pgjdbc: arguments are host, port, database, user; the password is PGPASSWORD. Run as a source file.
import java.sql.*;
import java.util.Properties;

public class JdbcBasics {
    static Connection connect(String[] a, String... options) throws SQLException {
        Properties p = new Properties();
        p.setProperty("user", a[3]);
        p.setProperty("password", System.getenv("PGPASSWORD"));
        for (int i = 0; i < options.length; i += 2) p.setProperty(options[i], options[i + 1]);
        return DriverManager.getConnection("jdbc:postgresql://" + a[0] + ":" + a[1] + "/" + a[2], p);
    }

    static void check(boolean claim, String what) {
        if (!claim) throw new AssertionError(what);
    }

    static void prepared(Connection c) throws SQLException {
        // Named on the server from the first use on (prepareThreshold=1), used in many transactions.
        for (int k = 0; k < 5; k++) {
            try (PreparedStatement s = c.prepareStatement("SELECT ?::int + " + k)) {
                for (int i = 0; i < 20; i++) {
                    s.setInt(1, i);
                    try (ResultSet r = s.executeQuery()) {
                        check(r.next() && r.getInt(1) == i + k, "prepared " + i);
                    }
                }
            }
        }
    }

    static void batches(Connection c) throws SQLException {
        c.setAutoCommit(false);
        try (PreparedStatement s = c.prepareStatement("INSERT INTO jd VALUES (?, ?)")) {
            for (int i = 0; i < 500; i++) {
                s.setInt(1, i);
                s.setString(2, "v" + i);
                s.addBatch();
            }
            check(s.executeBatch().length == 500, "batch");
        }
        c.commit();
        try (Statement s = c.createStatement()) {
            s.setFetchSize(7);
            ResultSet r = s.executeQuery("SELECT id FROM jd ORDER BY id");
            for (int i = 0; i < 500; i++) check(r.next() && r.getInt(1) == i, "fetch " + i);
        }
        c.commit();
        Savepoint point = c.setSavepoint();
        try (Statement s = c.createStatement()) {
            s.execute("INSERT INTO jd VALUES (1, 'again')");
            check(false, "no error");
        } catch (SQLException e) {
            check("23505".equals(e.getSQLState()), e.toString());
            c.rollback(point);
        }
        c.commit();
        c.setAutoCommit(true);
    }

    static void settings(Connection c) throws SQLException {
        c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        c.setReadOnly(true);
        try (Statement s = c.createStatement()) {
            for (int i = 0; i < 10; i++) {
                ResultSet r = s.executeQuery("SHOW default_transaction_isolation");
                check(r.next() && r.getString(1).equals("serializable"), "isolation was lost");
            }
        }
        c.setReadOnly(false);
        c.setSchema("public");
        check("public".equals(c.getSchema()), "schema");
        c.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        try (Statement s = c.createStatement()) {
            s.setQueryTimeout(1);
            s.execute("SELECT pg_sleep(10)");
            check(false, "not cancelled");
        } catch (SQLException e) {
            check("57014".equals(e.getSQLState()), e.toString());
        }
    }

    public static void main(String[] a) throws Exception {
        try (Connection c = connect(a, "prepareThreshold", "1", "ApplicationName", "jdbc",
                                    "preparedStatementCacheQueries", "3")) {
            try (Statement s = c.createStatement()) {
                s.execute("CREATE TABLE jd(id int PRIMARY KEY, v text)");
            }
            prepared(c);
            batches(c);
            settings(c);
            prepared(c);
            check(c.getMetaData().getTables(null, "public", "jd", null).next(), "metadata");
        }
        try (Connection c = connect(a, "autosave", "always", "preferQueryMode", "extendedCacheEverything")) {
            prepared(c);
        }
        try (Connection c = connect(a, "preferQueryMode", "simple", "options", "-c statement_timeout=5000")) {
            prepared(c);
            try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("SHOW statement_timeout")) {
                check(r.next() && r.getString(1).equals("5s"), "options");
            }
        }
        System.out.println("pgjdbc " + DriverManager.getDriver("jdbc:postgresql:x").getMajorVersion() + "."
            + DriverManager.getDriver("jdbc:postgresql:x").getMinorVersion());
    }
}
